"""Which items a query asks about, and how much each weighs: the session's first, then older history."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numba import njit
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Lookback:
    """How far back a query looks. Ranks in the session count distinct items, 0 being the latest; among older
    items they count distinct times, so that the items of one basket weigh the same."""

    items: int = 12  # distinct items that are looked up at most, the session's before older ones
    session_decay: float = 2.0  # an item of rank r in the session weighs exp(-r / session_decay)
    history_decay: float = 10.0  # one of rank r among the older ones: exp(-r / history_decay), times
    history_weight: float = 0.05  # this, unless the session is empty

    def __post_init__(self) -> None:
        if self.items < 1 or not self.session_decay > 0 or not self.history_decay > 0:
            raise ValueError(f"{self}: items must be at least 1 and decays above 0")
        if not 0 <= self.history_weight <= 1:
            raise ValueError(f"Lookback.history_weight is {self.history_weight}; allowed are 0..1")

    def session_weights(self) -> NDArray[np.float64]:
        """(items,) float64 by rank in the session."""
        return _fading(self.items, self.session_decay)

    def history_weights(self) -> NDArray[np.float64]:
        """(items,) float64 by rank among the older items, for an empty session."""
        return _fading(self.items, self.history_decay)


@lru_cache(maxsize=256)
def _fading(items: int, decay: float) -> NDArray[np.float64]:
    """(items,) float64 by rank; asked for on every click, so not made anew. Not to be written to."""
    return np.exp(-np.arange(items) / decay)


@njit(nogil=True, cache=True)
def weigh_query(
    session: NDArray[np.int32],
    history: NDArray[np.int32],
    history_ms: NDArray[np.int64],
    session_weights: NDArray[np.float64],
    history_weights: NDArray[np.float64],
    history_weight: float,
    seen: NDArray[np.bool_],
    out_items: NDArray[np.int32],
    out_weights: NDArray[np.float64],
) -> tuple[int, int]:
    """Fill `out_items` (Q,) int32 and `out_weights` (Q,) float64; returns how many, and how many of them are
    of the session (they come first, the item just touched at 0).

    `session` (L,) and `history` (T,) are one query's, most recent first, and `history_ms` (T,) the times of
    the latter; `seen` (N,) is False throughout, on return again.
    """
    size = 0
    for at in range(len(session)):
        item = session[at]
        if size == len(out_items):
            break
        if item > 0 and not seen[item]:
            seen[item] = True
            out_items[size] = item
            out_weights[size] = session_weights[size]
            size += 1
    from_session = size
    scale = history_weight if from_session > 0 else 1.0
    if scale > 0:
        rank = -1
        before_ms = np.int64(0)
        for at in range(len(history)):
            item = history[at]
            if size == len(out_items):
                break
            if item > 0 and not seen[item]:
                seen[item] = True
                if rank < 0 or history_ms[at] != before_ms:
                    rank += 1
                    before_ms = history_ms[at]
                out_items[size] = item
                out_weights[size] = scale * history_weights[rank]
                size += 1
    for at in range(size):
        seen[out_items[at]] = False
    return size, from_session
