"""Events as columns: the one form in which states, sources and learners take them."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class Kind(IntEnum):
    """What a shopper did to an item. The order is stable: it is part of saved state."""

    PAD = 0
    IMPRESSION = 1
    CLICK = 2
    CART = 3
    UNCART = 4
    PURCHASE = 5
    REFUND = 6


@dataclass(frozen=True, slots=True)
class Interactions:
    """E (user, item) interactions in log order; ids are `stable_hash`es, so they mean the same everywhere.

    `events` numbers the event that each row came from (0..n-1 within the batch), so the items of one
    purchase share it; an event without items (a search) has no row.
    """

    users: NDArray[np.int64]  # (E,)
    items: NDArray[np.int64]  # (E,)
    kinds: NDArray[np.int8]  # (E,) Kind
    times_ms: NDArray[np.int64]  # (E,) occurred_at
    quantities: NDArray[np.float32]  # (E,) units of the item, 1 where unknown
    sessions: NDArray[np.int64]  # (E,) stable_hash of session_id, 0 where there is none
    events: NDArray[np.int32]  # (E,)

    def __len__(self) -> int:
        return len(self.users)
