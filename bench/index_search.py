"""The item index at the size of a large catalogue: built, searched, changed, on the CPU or a GPU."""

from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from bench.errors import BenchError
from bench.machine import Machine
from bench.report import BenchReport
from bench.telling import Tell, silent
from index.gpu_tier import Device
from index.items import ItemIndex
from index.threads import limit_search_threads

_CHUNK = 65_536
_K = 20
_TOPICS = 4_096
_SPREAD = 0.6  # length of an item's own direction beside its topic's, which has length 1
_JUDGED = 200
_WARM_UP = 3


@dataclass(frozen=True, slots=True)
class IndexSearchConfig:
    """How many vectors, and how they are asked for."""

    items: int = 200_000
    dim: int = 384
    device: Device = "auto"
    queries: tuple[int, ...] = (1, 32)  # in one search
    rounds: int = 200
    threads: int = 1  # of FAISS in a search; a build takes all there are
    seed: int = 7

    def __post_init__(self) -> None:
        if not self.queries or min(*self.queries, self.items, self.dim, self.rounds, self.threads) < 1:
            raise ValueError(
                f"items is {self.items}, dim {self.dim}, queries {self.queries}, rounds {self.rounds}, threads "
                f"{self.threads}; all must be at least 1"
            )


def run_index_search(config: IndexSearchConfig, *, machine: Machine, tell: Tell = silent) -> BenchReport:
    """Build and search times, and the share of the true nearest that a search finds."""
    index = ItemIndex(config.dim, device=config.device)
    made = _Vectors(config)
    best = _Best(made.queries(_JUDGED, seed=config.seed + 1))
    before = psutil.Process().memory_info().rss
    took_upsert = 0.0
    for start in range(0, config.items, _CHUNK):
        rows = np.arange(start + 1, min(start + _CHUNK, config.items) + 1, dtype=np.int32)
        vectors = made.chunk(rows)
        best.take(rows, vectors)
        started = perf_counter()
        index.upsert(rows, vectors)
        took_upsert += perf_counter() - started
        if start // _CHUNK % 16 == 0:
            tell(f"{rows[-1]:,} of {config.items:,} vectors")
    tell("building")
    started = perf_counter()
    index.rebuild()
    build_s = perf_counter() - started
    limit_search_threads(config.threads)
    found, _ = index.search(best.queries, _K)
    recall = float(np.mean([len(np.intersect1d(a, b)) / _K for a, b in zip(found, best.rows, strict=True)]))
    searches = {}
    for size in config.queries:
        tell(f"{config.rounds} searches of {size}")
        searches[f"queries_{size}"] = _searched(index, made, size=size, rounds=config.rounds)
    return BenchReport(
        name="index",
        figures={"recall_at_20": recall, "build_s": build_s, **searches},
        details={
            "upsert_us": took_upsert / config.items * 1e6,
            "changed": _changed(index, made, rounds=config.rounds),
            "grown_mb": (psutil.Process().memory_info().rss - before) / 1e6,
        },
        settings={
            "items": config.items,
            "dim": config.dim,
            "device": index.device_used,
            "kind": index.main_kind,
            "search_threads": config.threads,
            "rounds": config.rounds,
        },
        notes=(
            f"vectors are drawn around {_TOPICS:,} topics, not real ones; recall_at_20 is against exact search for "
            f"{_JUDGED} queries; ms of one search for that many queries, with the result on the host",
            "changed: a search for one query right after one vector was changed",
        ),
        machine=machine,
    )


class _Vectors:
    """Unit vectors around topics; each row's vector depends on its chunk and the seed alone."""

    def __init__(self, config: IndexSearchConfig) -> None:
        self._seed, self._dim = config.seed, config.dim
        self._topics = _unit(
            np.random.default_rng(config.seed).standard_normal((_TOPICS, config.dim), np.float32)
        )

    def chunk(self, rows: NDArray[np.int32]) -> NDArray[np.float32]:
        """(n, D) of (n,) rows."""
        return self._drawn(len(rows), chance=np.random.default_rng([self._seed, int(rows[0])]))

    def queries(self, n: int, *, seed: int) -> NDArray[np.float32]:
        """(n, D) of the same kind, none of which is an item."""
        return self._drawn(n, chance=np.random.default_rng([self._seed, 0, seed]))

    def _drawn(self, n: int, *, chance: np.random.Generator) -> NDArray[np.float32]:
        own = chance.standard_normal((n, self._dim), np.float32) * np.float32(_SPREAD / self._dim**0.5)
        return _unit(self._topics[chance.integers(_TOPICS, size=n)] + own)


class _Best:
    """The true nearest of some queries, kept while vectors come by chunks."""

    def __init__(self, queries: NDArray[np.float32]) -> None:
        self.queries = queries
        self.rows = np.zeros((len(queries), _K), np.int32)
        self._scores = np.full((len(queries), _K), -np.inf, np.float32)

    def take(self, rows: NDArray[np.int32], vectors: NDArray[np.float32]) -> None:
        """See (n,) rows with (n, D) vectors, as the index rounds them."""
        scores = self.queries @ vectors.astype(np.float16).astype(np.float32).T  # (Q, n)
        at = np.argpartition(-scores, min(_K, len(rows)) - 1, axis=1)[:, :_K]
        scores = np.concatenate([self._scores, np.take_along_axis(scores, at, axis=1)], axis=1)
        candidates = np.concatenate([self.rows, rows[at]], axis=1)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :_K]
        self._scores = np.take_along_axis(scores, order, axis=1)
        self.rows = np.take_along_axis(candidates, order, axis=1)


def _searched(index: ItemIndex, made: _Vectors, *, size: int, rounds: int) -> dict[str, float]:
    took = []
    for turn in range(-_WARM_UP, rounds):
        queries = made.queries(size, seed=turn + 1_000)
        started = perf_counter()
        index.search(queries, _K)
        if turn >= 0:
            took.append((perf_counter() - started) * 1e3)
    return {**_percentiles(took), "queries_per_s": size / float(np.median(took)) * 1e3}


def _changed(index: ItemIndex, made: _Vectors, *, rounds: int) -> dict[str, float]:
    """A search that must not find what was just replaced: tombstones make it filter."""
    took = []
    for turn in range(rounds):
        vector = made.queries(1, seed=turn + 100_000)
        index.upsert(np.array([1 + turn], np.int32), vector)
        started = perf_counter()
        found, _ = index.search(vector, _K)
        took.append((perf_counter() - started) * 1e3)
        if found[0, 0] != 1 + turn:
            raise BenchError(f"row {1 + turn} was changed and is not found at its new place")
    return _percentiles(took)


def _percentiles(took: list[float]) -> dict[str, Any]:
    p50, p99 = np.percentile(took, [50, 99]).tolist()
    return {"p50_ms": p50, "p99_ms": p99}


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    unit: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit
