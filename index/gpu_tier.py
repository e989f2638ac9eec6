"""The main tier on a GPU, for builds of FAISS that have one.

The same vectors as on the CPU; the GPU also rounds queries to float16, so scores may differ by some 0.001.
"""

import logging
from typing import Any, Literal

import faiss
import numpy as np
from numpy.typing import NDArray

from index.main_tier import FlatTier, IvfTier, MainTier

_MAX_K = 2048  # the most neighbours that a GPU index gives
_SLACK = 64

Device = Literal["cpu", "gpu", "auto"]
_log = logging.getLogger(__name__)


def usable_device(wanted: Device) -> Literal["cpu", "gpu"]:
    """`wanted`, or "cpu" where FAISS sees no GPU; logged as a warning when a GPU was asked for by name."""
    if wanted == "cpu":
        return "cpu"
    built_for_gpu = "GPU" in faiss.get_compile_options().split()
    gpus = faiss.get_num_gpus() if built_for_gpu else 0
    if gpus > 0:
        return "gpu"
    if wanted == "gpu":
        reason = (
            "it sees no GPU" if built_for_gpu else "it was built for the CPU only (docs/operations.md, GPU)"
        )
        _log.warning("device 'gpu' was asked for, but FAISS cannot use one: %s; searching on the CPU", reason)
    return "cpu"


def to_gpu(tier: MainTier) -> "GpuTier":
    """`tier` copied to the first GPU as float16."""
    return GpuTier(tier, searcher=_copied(tier.faiss_index(), float16=True))


def built_on_gpu(rows: NDArray[np.int32], vectors: NDArray[np.float16], *, nprobe: int) -> IvfTier:
    """As IvfTier.build, on the host, with the nearest centroids found on the first GPU in float32."""
    return IvfTier.build(rows, vectors, nprobe=nprobe, searched_on=_copied)


def _copied(index: Any, *, float16: bool = False) -> Any:
    """A copy of a CPU index on the first GPU."""
    options = faiss.GpuClonerOptions()
    options.useFloat16 = float16
    options.use_cuvs = False  # cuVS has no copy of a scalar quantizer
    return faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), 0, index, options)


class GpuTier:
    """A CPU tier with its search done by `searcher`, an index over the same codes that takes no selector.

    GPU indices neither remove nor filter. So more than n are fetched and filtered here, and a query that is
    left with fewer than n although more exist is searched again on the host's copy, exactly.
    """

    def __init__(self, host: MainTier, *, searcher: Any) -> None:
        self.kind = host.kind
        self._host = host
        self._searcher = searcher
        self._row_of = host.rows if isinstance(host, FlatTier) else None  # an IVF's ids are rows already

    @property
    def rows(self) -> NDArray[np.int32]:
        """(M,) rows held, tombstones included."""
        return self._host.rows

    def __len__(self) -> int:
        return len(self._host)

    def search(
        self, queries: NDArray[np.float32], n: int, *, keep: NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """See MainTier."""
        held = len(self)
        kept = held if keep is None else min(held, int(np.count_nonzero(keep)))
        m = min(n, kept)
        if m == 0 or len(queries) == 0 or m > _MAX_K:
            return self._host.search(queries, n, keep=keep)
        fetched = min(held, _MAX_K, m if keep is None else 2 * m + _SLACK)
        scores, ids = self._searcher.search(queries, fetched)  # (Q, fetched)
        rows = ids if self._row_of is None else self._row_of[ids]
        rows = np.where(ids >= 0, rows, 0).astype(np.int32)
        if keep is not None:
            rows = np.where(keep[rows], rows, 0)
        order = np.argsort(rows == 0, axis=1, kind="stable")[:, :m]  # padding last, else best first
        rows = np.take_along_axis(rows, order, axis=1)
        scores = np.where(rows > 0, np.take_along_axis(scores, order, axis=1), np.float32(0))
        short = (rows == 0).any(axis=1)
        if keep is not None and short.any():
            again_rows, again_scores = self._host.search(queries[short], m, keep=keep)
            width = again_rows.shape[1]
            rows[short, :width], scores[short, :width] = again_rows, again_scores
        return rows, scores.astype(np.float32, copy=False)

    def vectors(self, rows: NDArray[np.int32]) -> NDArray[np.float16]:
        """See MainTier."""
        return self._host.vectors(rows)

    def faiss_index(self) -> Any:
        """See MainTier."""
        return self._host.faiss_index()
