"""How people come back to each item: how often, and after how long."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from index.snapshot import copied, fill
from index.sources.base import LearnBatch, Limits

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]

HOUR_MS = 3_600_000.0
SAME_VISIT_MS = 3_600_000  # touches closer than this are one visit
TOUCHES, RETURNS, LOG_HOURS = 0, 1, 2  # columns of `sums`


class ItemHabits:
    """Per item its visits, how many of them were returns, and the sum of the returns' log intervals:
    repeat consumption (Anderson et al., WWW 2014; Bhagat et al., KDD 2018, Buy It Again).

    A return is a touch more than an hour after the same user's last touch of the item. The last touches are
    kept in a direct-mapped table of `pairs` entries, so a user's touch can be forgotten, and is never
    mistaken for another's. The rest of a visit counts nothing.

    - `sums` (N, 3) float32: visits, returns, sum of log1p(hours) of the returns
    - `pair_keys`, `pair_ms` (P,) int64: whose last touch an entry is, and when; `generation` (N,) int64: how
      often the row was evicted, part of the key
    """

    name = "item_habits"

    def __init__(self, limits: Limits, *, pairs: int = 1 << 20) -> None:
        if pairs < 2 or pairs & (pairs - 1):
            raise ValueError(f"pairs is {pairs}; it must be a power of 2, at least 2")
        self.sums = np.zeros((limits.items, 3), np.float32)
        self.pair_keys = np.zeros(pairs, np.int64)
        self.pair_ms = np.zeros(pairs, np.int64)
        self.generation = np.zeros(limits.items, np.int64)

    def learn(self, batch: LearnBatch) -> None:
        """Fold E interactions in, in log order."""
        _learn(batch.users, batch.items, batch.sessions, batch.times_ms, self.sums, self.pair_keys,
               self.pair_ms, self.generation)  # fmt: skip

    def evict(self, items: I32) -> None:
        """Forget these item rows ((k,) int32)."""
        self.sums[items] = 0
        self.generation[items] += 1

    def snapshot(self) -> dict[str, NDArray[np.generic]]:
        """The whole state, as copies."""
        return copied(self._arrays())

    def restore(self, arrays: dict[str, NDArray[np.generic]]) -> None:
        """Take `snapshot`'s arrays; SnapshotError when names, shapes or dtypes differ."""
        fill(self._arrays(), arrays, owner=self.name)

    def _arrays(self) -> dict[str, NDArray[np.generic]]:
        return {
            "sums": self.sums,
            "pair_keys": self.pair_keys,
            "pair_ms": self.pair_ms,
            "generation": self.generation,
        }


@njit(nogil=True, cache=True)
def _learn(
    users: I32, items: I32, sessions: I32, times_ms: I64, sums: F32, keys: I64, last_ms: I64, generation: I64
) -> None:
    for e in range(len(items)):
        user, item = users[e], items[e]
        if sessions[e] == 0 or user == 0 or item == 0:
            continue
        key = ((np.int64(user) << 32) | np.int64(item)) ^ (generation[item] << 52)
        mixed = np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)
        at = np.int64(mixed >> np.uint64(32)) & (len(keys) - 1)
        if keys[at] == key:
            apart_ms = times_ms[e] - last_ms[at]
            if apart_ms > SAME_VISIT_MS:
                sums[item, TOUCHES] += 1
                sums[item, RETURNS] += 1
                sums[item, LOG_HOURS] += np.float32(np.log1p(apart_ms / HOUR_MS))
                last_ms[at] = times_ms[e]
        else:
            keys[at], last_ms[at] = key, times_ms[e]
            sums[item, TOUCHES] += 1
