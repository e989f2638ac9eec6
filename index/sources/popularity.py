"""Popular now and popular for long: event counts that decay exponentially, over several windows."""

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from index.snapshot import copied, fill
from index.sources.base import LearnBatch, Limits, Query
from index.sources.covisits import KindWeights
from index.sources.topk import add_to, best_of, clear

F64 = NDArray[np.float64]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
HALF_LIVES_MS = (HOUR_MS, DAY_MS, 7 * DAY_MS, 30 * DAY_MS, 0)  # 0 never decays: all time


class Popularity:
    """Exponentially decayed counts (forward decay, Cormode et al., ICDE 2009) and each window's best items.

    Instead of a count that shrinks, each item keeps key = log2(sum of weight * 2^(t / half_life)) over its
    events at t: its count at `now` is 2^(key - now / half_life). A key never changes by itself, nor does
    the order of two items, so learning is O(1), the best list of a window stays exact without rescoring,
    and events may come in any order and with any gaps. A refund does not unsay the interest: it counts 0.

    The proposals merge the windows' lists by reciprocal rank (Cormack et al., SIGIR 2009) and are the same
    for every user; a score is the sum of 1 / (10 + rank) over the windows.
    """

    name = "popularity"

    def __init__(
        self,
        limits: Limits,
        *,
        n: int = 100,
        half_lives_ms: tuple[int, ...] = HALF_LIVES_MS,
        kinds: KindWeights = KindWeights(),
    ) -> None:
        if n < 1 or not half_lives_ms or min(half_lives_ms) < 0:
            raise ValueError(f"n is {n}, half-lives {half_lives_ms}; expected n >= 1 and half-lives >= 0")
        self.n = n
        self.half_lives_ms = np.array(half_lives_ms, np.int64)  # (W,)
        self.keys = np.full((len(half_lives_ms), limits.items), -np.inf)  # (W, N)
        self.best = np.zeros((len(half_lives_ms), n), np.int32)  # (W, n) rows by key, ties by row
        self._place = np.zeros((len(half_lives_ms), limits.items), np.int32)  # (W, N) place in best + 1
        self._weights = kinds.by_kind()
        self._merged = np.zeros(limits.items, np.float64)  # scratch, zeros between calls

    def learn(self, batch: LearnBatch) -> None:
        """Fold E interactions in; see the Source protocol."""
        _learn(batch.items, batch.kinds, batch.times_ms, self._weights, self.half_lives_ms, self.keys,
               self.best, self._place)  # fmt: skip

    def propose(self, query: Query) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """(B, n) rows and scores; see the Source protocol."""
        ids, scores = np.zeros(self.n, np.int32), np.zeros(self.n, np.float32)
        _merge(self.best, self._merged, ids, scores)
        return np.tile(ids, (len(query), 1)), np.tile(scores, (len(query), 1))

    def counts(self, items: NDArray[np.int32], *, now_ms: int) -> NDArray[np.float64]:
        """(W, E) decayed counts of the rows at `now_ms`."""
        return np.array([
            np.exp2(keys[items] - (now_ms / half_life if half_life else 0.0))
            for keys, half_life in zip(self.keys, self.half_lives_ms, strict=True)
        ])  # fmt: skip

    def evict(self, items: NDArray[np.int32]) -> None:
        """Forget these rows; the lists are made anew where they held one."""
        self.keys[:, items] = -np.inf
        for window in range(len(self.keys)):
            if self._place[window, items].any():
                self._rank(window)

    def snapshot(self) -> dict[str, NDArray[np.generic]]:
        """The keys (W, N): the lists follow from them."""
        return copied({"keys": self.keys})

    def restore(self, arrays: dict[str, NDArray[np.generic]]) -> None:
        """Take `snapshot`'s arrays; SnapshotError when names, shapes or dtypes differ."""
        fill({"keys": self.keys}, arrays, owner=self.name)
        for window in range(len(self.keys)):
            self._rank(window)

    def _rank(self, window: int) -> None:
        keys = self.keys[window]
        known = np.flatnonzero(keys > -math.inf)
        rows = known[np.lexsort((known, -keys[known]))][: self.n].astype(np.int32)
        self._place[window] = 0
        self._place[window, rows] = np.arange(1, len(rows) + 1)
        self.best[window] = 0
        self.best[window, : len(rows)] = rows


@njit(nogil=True, cache=True)
def _learn(
    items: I32,
    kinds: NDArray[np.int8],
    times_ms: I64,
    weights: F64,
    half_lives_ms: I64,
    keys: F64,
    best: I32,
    place: I32,
) -> None:
    windows, size = best.shape
    for event in range(len(items)):
        item = items[event]
        weight = weights[kinds[event]]
        if item == 0 or weight <= 0.0:
            continue
        for w in range(windows):
            half_life = half_lives_ms[w]
            gain = np.log2(weight) + (times_ms[event] / half_life if half_life > 0 else 0.0)
            old = keys[w, item]
            high, low = max(old, gain), min(old, gain)
            key = high + np.log2(1.0 + np.exp2(low - high)) if low > high - 60.0 else high
            keys[w, item] = key
            at = place[w, item] - 1
            if at < 0:
                last = best[w, size - 1]
                if last != 0:
                    if keys[w, last] > key or (keys[w, last] == key and last < item):
                        continue
                    place[w, last] = 0
                at = size - 1
                best[w, at] = 0
            while at > 0:
                above = best[w, at - 1]
                if above != 0 and (keys[w, above] > key or (keys[w, above] == key and above < item)):
                    break
                best[w, at] = above
                if above != 0:
                    place[w, above] = at + 1
                at -= 1
            best[w, at] = item
            place[w, item] = at + 1


@njit(nogil=True, cache=True)
def _merge(best: I32, merged: F64, ids: I32, scores: NDArray[np.float32]) -> None:
    touched = np.empty(best.size, np.int32)
    count = 0
    for window in range(len(best)):
        for rank in range(best.shape[1]):
            if best[window, rank] != 0:
                count = add_to(merged, touched, count, best[window, rank], 1.0 / (10.0 + rank))
    best_of(touched, count, merged, ids, scores)
    clear(merged, touched, count)
