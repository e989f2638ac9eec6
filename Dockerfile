# One image for every role; the command chooses it (see docker-compose.yml).
# By default torch comes with its CUDA libraries. For a much smaller image, name an index that has CPU wheels:
#   docker build --build-arg EXTRA_INDEX=<index of CPU wheels> .
FROM python:3.11-slim-bookworm

ARG EXTRA_INDEX=""
ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    NUMBA_CACHE_DIR=/var/lib/headwater/numba \
    OMP_NUM_THREADS=1

RUN apt-get update \
    && apt-get install -y --no-install-recommends libgomp1 \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/headwater
COPY requirements.lock requirements-torch.txt ./
RUN pip install --no-cache-dir --require-hashes --no-deps -r requirements.lock \
    && pip install --no-cache-dir ${EXTRA_INDEX:+--extra-index-url "$EXTRA_INDEX"} -r requirements-torch.txt

COPY pyproject.toml README.md ./
COPY events/ events/
COPY index/ index/
COPY models/ models/
COPY serving/ serving/
COPY streams/ streams/
COPY load/ load/
COPY bench/ bench/
COPY demo/ demo/
COPY cli/ cli/
RUN pip install --no-cache-dir --no-deps --no-build-isolation .

RUN useradd --system --uid 10001 --home-dir /var/lib/headwater headwater \
    && mkdir -p /var/lib/headwater/snapshots /var/lib/headwater/numba \
    && chown -R headwater /var/lib/headwater
USER headwater
WORKDIR /var/lib/headwater
EXPOSE 9464
CMD ["headwater", "--help"]
