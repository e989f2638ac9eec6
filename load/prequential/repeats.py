"""The rows of a stream that are no units, since they have the item of the row before them in their session.

Nobody needs a recommendation to find what they are looking at, so these are not asked for; but every system
sees them, and a cart or a purchase says more than the view before it. So contenders are shown them in their turn.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from load.prequential.contender import Repeat
from load.prequential.stream import Stream


@dataclass(frozen=True, slots=True, eq=False)
class Repeats:
    """S rows that are shown and not asked for, in time order."""

    row: NDArray[np.int64]  # (S,) in the stream
    at_ms: NDArray[np.int64]  # (S,)
    user: NDArray[np.int64]  # (S,)
    session: NDArray[np.int64]  # (S,)
    items: NDArray[np.int64]  # (S,)

    def __len__(self) -> int:
        return len(self.row)

    def before(self, stop: int) -> "Repeats":
        """Those among the stream's rows before `stop`."""
        n = int(np.searchsorted(self.row, stop))
        return Repeats(self.row[:n], self.at_ms[:n], self.user[:n], self.session[:n], self.items[:n])

    def between(self, start: int, stop: int) -> Iterator[Repeat]:
        """Those among the stream's rows from `start` to before `stop`."""
        first, last = np.searchsorted(self.row, [start, stop]).tolist()
        for at in range(first, last):
            row = int(self.row[at])
            yield Repeat(
                at_ms=int(self.at_ms[at]),
                user=int(self.user[at]),
                session=int(self.session[at]),
                items=self.items[at : at + 1],
                rows=slice(row, row + 1),
            )

    @classmethod
    def of(cls, stream: Stream, *, rows: NDArray[np.int64], session: NDArray[np.int64]) -> "Repeats":
        """`rows`: (S,) int64 of the stream; `session`: (R,) int64 of each row of the stream."""
        return cls(rows, stream.ts[rows], stream.user[rows], session[rows], stream.item[rows])


_NONE = np.zeros(0, np.int64)
NO_REPEATS = Repeats(_NONE, _NONE, _NONE, _NONE, _NONE)
