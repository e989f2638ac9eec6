"""The newest items of the catalogue: the only way to be found for what has neither counts nor text."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from index.snapshot import fill
from index.sources.base import LearnBatch, Limits, Query
from index.sources.catalogue import Catalogue
from index.sources.topk import best_of, clear

Bools = NDArray[np.bool_]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]

DAY_MS = 86_400_000
LOOK_BACK = 8  # rows looked at for each one proposed


class NewArrivals:
    """The n newest items at the time of the query, those with text first: the way out of the item
    cold start of Schein et al. (SIGIR 2002), which neither counts nor ratings give.

    New is by the catalogue's `first_ms`, the first record or event; nothing from after the query's time is
    proposed, so that replayed streams stay honest. Removed and unavailable items are passed over; looked at
    are the `8 n` newest. The score is 1 / (1 + age in days), halved without text.

    The rows are kept in order of age: `arrived` puts a few into place, or sorts when they are many.
    """

    name = "new_arrivals"

    def __init__(self, limits: Limits, *, catalogue: Catalogue, n: int = 60) -> None:
        if n < 1:
            raise ValueError(f"n is {n}; expected at least 1")
        self.n = n
        self._catalogue = catalogue
        self._order = np.zeros(limits.items, np.int32)  # rows, oldest first; ties by lower row last
        self._order_ms = np.zeros(limits.items, np.int64)  # their first_ms
        self._totals = np.zeros(limits.items, np.float64)  # scratch, zeros between calls
        self._filled = 0

    def learn(self, batch: LearnBatch) -> None:
        """Nothing: `arrived` tells of new rows, from records and events alike."""

    def arrived(self, items: NDArray[np.int32]) -> None:
        """The catalogue set or changed `first_ms` of these distinct rows (R,)."""
        known = self._filled > 0 and np.isin(items, self._order[: self._filled]).any()
        if known or len(items) > 64:
            self._sort()
            return
        first_ms = self._catalogue.first_ms
        for item in items:
            if first_ms[item] > 0:
                _insert(item, first_ms[item], self._filled, self._order, self._order_ms)
                self._filled += 1

    def propose(self, query: Query) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """(B, n) rows and scores; see the Source protocol."""
        ids = np.zeros((len(query), self.n), np.int32)
        scores = np.zeros((len(query), self.n), np.float32)
        catalogue = self._catalogue
        order, order_ms = self._order[: self._filled], self._order_ms[: self._filled]
        _propose(query.now_ms, order, order_ms, catalogue.available, catalogue.removed, catalogue.has_text,
                 self._totals, ids, scores)  # fmt: skip
        return ids, scores

    def evict(self, items: NDArray[np.int32]) -> None:
        """Forget these rows."""
        kept = ~np.isin(self._order[: self._filled], items)
        count = int(kept.sum())
        for column in (self._order, self._order_ms):
            column[:count] = column[: self._filled][kept]
            column[count:] = 0
        self._filled = count

    def snapshot(self) -> dict[str, NDArray[np.generic]]:
        """No arrays: the order follows from the catalogue."""
        return {}

    def restore(self, arrays: dict[str, NDArray[np.generic]]) -> None:
        """Take `snapshot`'s (no) arrays, the catalogue having its own; SnapshotError when there are some"""
        fill({}, arrays, owner=self.name)
        self._sort()

    def _sort(self) -> None:
        first_ms = self._catalogue.first_ms
        rows = np.flatnonzero(first_ms > 0)
        rows = rows[np.lexsort((-rows, first_ms[rows]))]
        self._filled = len(rows)
        self._order[: len(rows)] = rows
        self._order_ms[: len(rows)] = first_ms[rows]
        self._order[len(rows) :] = 0
        self._order_ms[len(rows) :] = 0


@njit(nogil=True, cache=True)
def _insert(item: int, first_ms: int, filled: int, order: I32, order_ms: I64) -> None:
    at = filled
    while at > 0 and (order_ms[at - 1] > first_ms or (order_ms[at - 1] == first_ms and order[at - 1] < item)):
        order[at] = order[at - 1]
        order_ms[at] = order_ms[at - 1]
        at -= 1
    order[at] = item
    order_ms[at] = first_ms


@njit(nogil=True, cache=True)
def _propose(
    nows_ms: I64,
    order: I32,
    order_ms: I64,
    available: Bools,
    removed: Bools,
    has_text: Bools,
    totals: NDArray[np.float64],
    ids: I32,
    scores: NDArray[np.float32],
) -> None:
    n = ids.shape[1]
    chosen = np.empty(n, np.int32)
    for b in range(len(nows_ms)):
        newest = np.searchsorted(order_ms, nows_ms[b], side="right") - 1
        oldest = max(newest - LOOK_BACK * n, -1)
        count = 0
        for with_text in (True, False):
            for position in range(newest, oldest, -1):
                item = order[position]
                if count == n:
                    break
                if has_text[item] != with_text or removed[item] or not available[item]:
                    continue
                score = 1.0 / (1.0 + (nows_ms[b] - order_ms[position]) / DAY_MS)
                totals[item] = score if with_text else score / 2.0
                chosen[count] = item
                count += 1
        best_of(chosen, count, totals, ids[b], scores[b])
        clear(totals, chosen, count)
