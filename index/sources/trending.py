"""Rising items: what is met more often lately than its own past would let expect."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from index.snapshot import fill
from index.sources.base import LearnBatch, Limits, Query
from index.sources.popularity import Popularity
from index.sources.topk import best_of, clear

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I32 = NDArray[np.int32]

MINUTE_MS = 60_000


class Trending:
    """Ratio of an item's short-window to its long-window rate, smoothed by `prior` events (bursts by moving
    averages: Vlachos et al., SIGMOD 2004).

    With c_s and c_l the decayed counts over half-lives s and l, a steady item has c_s = c_l * s / l, so the
    score is (c_s + prior) / (c_l * s / l + prior); only items above 1 are proposed. It reads the counts of
    `popularity`, which learns before it, and has no state of its own. Rescored are the best items of the
    short window, so the cost is bounded. The time of the query counts in whole minutes, so that the users of
    one batch share the work. The proposals are the same for every user.

    Keeps `popularity`'s array objects: they are allocated once.
    """

    name = "trending"

    def __init__(
        self,
        limits: Limits,
        *,
        popularity: Popularity,
        n: int = 60,
        short: int = 1,
        long: int = 3,
        prior: float = 8.0,
    ) -> None:
        half_lives = popularity.half_lives_ms
        if not 0 <= short < long < len(half_lives) or half_lives[short] <= 0 or half_lives[long] <= 0:
            raise ValueError(
                f"windows {short} and {long} of {half_lives.tolist()} must decay, the shorter first"
            )
        if n < 1 or prior <= 0:
            raise ValueError(f"n is {n}, prior {prior}; expected n >= 1 and prior > 0")
        self.n, self.prior = n, prior
        self._pool, self._short, self._long = (
            popularity.best[short],
            popularity.keys[short],
            popularity.keys[long],
        )
        self._totals = np.zeros(limits.items, np.float64)  # scratch, zeros between calls
        self._half_lives_ms = (float(half_lives[short]), float(half_lives[long]))

    def learn(self, batch: LearnBatch) -> None:
        """Nothing: `popularity` learns."""

    def propose(self, query: Query) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """(B, n) rows and scores; see the Source protocol."""
        ids = np.zeros((len(query), self.n), np.int32)
        scores = np.zeros((len(query), self.n), np.float32)
        minutes_ms = query.now_ms // MINUTE_MS * MINUTE_MS
        _propose(minutes_ms, self._pool, self._short, self._long, *self._half_lives_ms, self.prior,
                 self._totals, ids, scores)  # fmt: skip
        return ids, scores

    def evict(self, items: NDArray[np.int32]) -> None:
        """Nothing: `popularity` evicts."""

    def snapshot(self) -> dict[str, NDArray[np.generic]]:
        """No arrays: there is no state."""
        return {}

    def restore(self, arrays: dict[str, NDArray[np.generic]]) -> None:
        """Take `snapshot`'s (no) arrays; SnapshotError when there are any."""
        fill({}, arrays, owner=self.name)


@njit(nogil=True, cache=True)
def _propose(
    nows_ms: NDArray[np.int64],
    pool: I32,
    short_keys: F64,
    long_keys: F64,
    short_ms: float,
    long_ms: float,
    prior: float,
    totals: F64,
    ids: I32,
    scores: F32,
) -> None:
    for b in range(len(nows_ms)):
        if b > 0 and nows_ms[b] == nows_ms[b - 1]:
            ids[b] = ids[b - 1]
            scores[b] = scores[b - 1]
            continue
        count = 0
        for item in pool:
            if item == 0:
                break
            short = np.exp2(min(short_keys[item] - nows_ms[b] / short_ms, 60.0))
            long = np.exp2(min(long_keys[item] - nows_ms[b] / long_ms, 60.0))
            ratio = (short + prior) / (long * short_ms / long_ms + prior)
            totals[item] = ratio if ratio > 1.0 else 0.0
            count += 1
        best_of(pool, count, totals, ids[b], scores[b])
        clear(totals, pool, count)
