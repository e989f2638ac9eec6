"""Which items are the long tail and which are young: how often each was touched, and where the head ends."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from index.snapshot import copied, fill
from index.sources.base import LearnBatch, Limits

I32 = NDArray[np.int32]
I64 = NDArray[np.int64]

_MOST = 65_535  # a count goes no higher: by then an item is no longer told from the head


class LongTail:
    """Touches of each item, and the least count of the head: the most touched fifth of the items so far.

    The head's end is kept exactly, in O(1) a touch: `level` is the least count, at least 1, that at most
    `ceil(head_share * items touched)` items have reached. Items tied there are tail together.

    - `counts` (N,) int32: interactions, whatever their kind and quantity
    """

    name = "long_tail"

    def __init__(self, limits: Limits, *, head_share: float = 0.2, young_at_most: int = 5) -> None:
        if not 0 < head_share < 1 or young_at_most < 0:
            raise ValueError(
                f"head_share is {head_share}, young_at_most {young_at_most}; expected in (0, 1) and >= 0"
            )
        self.head_share, self.young_at_most = head_share, young_at_most
        self.counts = np.zeros(limits.items, np.int32)
        self._having = np.zeros(_MOST + 1, np.int64)  # how many items have each count; of 0 it is not kept
        self._edge = np.array([1, 0, 0], np.int64)  # level, items that have reached it, items touched

    @property
    def level(self) -> int:
        """The least count of the head."""
        return int(self._edge[0])

    def learn(self, batch: LearnBatch) -> None:
        """Fold E interactions in; the cuts between batches change nothing."""
        _learn(batch.items, self.head_share, self.counts, self._having, self._edge)

    def is_tail(self, items: I32) -> NDArray[np.bool_]:
        """Whether rows, of any shape, are below the head; padding is."""
        tail: NDArray[np.bool_] = self.counts[items] < self._edge[0]
        return tail

    def is_young(self, items: I32) -> NDArray[np.bool_]:
        """Whether rows, of any shape, were touched `young_at_most` times or fewer; padding was."""
        young: NDArray[np.bool_] = self.counts[items] <= self.young_at_most
        return young

    def evict(self, items: I32) -> None:
        """Forget these rows (R,)."""
        self.counts[items] = 0
        self._rebuild()

    def snapshot(self) -> dict[str, NDArray[np.generic]]:
        """The counts (N,): the rest follows from them."""
        return copied({"counts": self.counts})

    def restore(self, arrays: dict[str, NDArray[np.generic]]) -> None:
        """Take `snapshot`'s arrays; SnapshotError when names, shapes or dtypes differ."""
        fill({"counts": self.counts}, arrays, owner=self.name)
        self._rebuild()

    def _rebuild(self) -> None:
        touched = self.counts[self.counts > 0]
        self._having[:] = np.bincount(touched, minlength=_MOST + 1)
        self._edge[:] = 1, len(touched), len(touched)
        _settle(self.head_share, self._having, self._edge)


@njit(nogil=True, cache=True)
def _learn(items: I32, head_share: float, counts: I32, having: I64, edge: I64) -> None:
    for event in range(len(items)):
        item = items[event]
        old = counts[item]
        if item == 0 or old == _MOST:
            continue
        if old > 0:
            having[old] -= 1
        else:
            edge[2] += 1
        having[old + 1] += 1
        counts[item] = old + 1
        if old + 1 == edge[0]:
            edge[1] += 1
        _settle(head_share, having, edge)


@njit(nogil=True, cache=True)
def _settle(head_share: float, having: I64, edge: I64) -> None:
    """Move `edge` to the least level that few enough items have reached."""
    most = np.ceil(head_share * edge[2])
    while edge[1] > most and edge[0] < _MOST:
        edge[1] -= having[edge[0]]
        edge[0] += 1
    while edge[0] > 1 and edge[1] + having[edge[0] - 1] <= most:
        edge[0] -= 1
        edge[1] += having[edge[0]]
