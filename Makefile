# make demo    watch Headwater learn from real shopping events (Ctrl-C ends it)
# make test    the whole test suite
# Both build .venv first; nothing is installed outside this folder.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --progress-bar off

.PHONY: help demo test test-long lint audit clean
help:
	@echo "make demo [DURATION=60] [REPORT=out.json]   real shopping events through Kafka, learning live"
	@echo "make test [ARGS=...]                        the test suite (11 minutes on two cores, both brokers)"
	@echo "make test-long [ARGS=...]                   tests that take minutes each: memory, fuzz, long backlogs, rollback"
	@echo "make audit                                  known vulnerabilities of the locked packages"
	@echo "make lint                                   ruff, mypy --strict, import rules"

$(STAMP): pyproject.toml requirements.lock requirements-dev.lock requirements-torch.txt
	@$(PYTHON) -c 'import sys; ok = (3, 11) <= sys.version_info[:2] <= (3, 13); sys.exit(None if ok else "Headwater needs Python 3.11 to 3.13; this is %s. Set PYTHON=python3.12, say." % sys.version.split()[0])'
	@echo "headwater: making $(VENV) and installing (2-5 minutes the first time; torch is most of it)"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) --require-hashes --no-deps -r requirements.lock -r requirements-dev.lock
	@$(PIP) -r requirements-torch.txt
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@
	@echo "headwater: installed"

demo: $(STAMP)
	@$(BIN)/headwater demo $(if $(DURATION),--duration $(DURATION)) $(if $(REPORT),--report $(REPORT))

test: $(STAMP)
	@echo "headwater: running the tests; the end-to-end ones start brokers, Redis and workers of their own"
	@$(BIN)/python -m pytest -q $(ARGS)

test-long: $(STAMP)
	@echo "headwater: running the tests that make test leaves out"
	@$(BIN)/python -m pytest -q -m long $(ARGS)

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

audit: $(STAMP)
	@.ci/audit

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache build *.egg-info
