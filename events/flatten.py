"""Decoded events to columns: the arrays that states, sources and learners fold with compiled kernels."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xxhash
from numpy.typing import NDArray

from events.columns import Interactions, Kind
from events.ids import UserId, stable_hash
from events.types import (
    AddToCart,
    AnyUserEvent,
    Purchase,
    Refund,
    RemoveFromCart,
    Search,
    SelectItem,
    UserEvent,
    ViewItem,
    ViewItemList,
)

KIND_OF: dict[type[UserEvent], Kind] = {
    ViewItemList: Kind.IMPRESSION,
    SelectItem: Kind.CLICK,
    ViewItem: Kind.CLICK,
    AddToCart: Kind.CART,
    RemoveFromCart: Kind.UNCART,
    Purchase: Kind.PURCHASE,
    Refund: Kind.REFUND,
    Search: Kind.PAD,
}
"""PAD where the event has no items, and so no row."""


@dataclass(frozen=True, slots=True)
class EventColumns:
    """n events in log order, beside the E interactions that they hold.

    `event_user` points into `users`, and `interactions.events` points into the (n,) columns: a kernel can
    fold each event into its user's row of a (B, W) state array, and skip every row of an event it has seen.
    """

    interactions: Interactions
    users: list[UserId]  # B distinct users, in the order of their first event
    user_hashes: NDArray[np.int64]  # (B,) stable_hash of `users`
    event_user: NDArray[np.int32]  # (n,) index into `users`
    event_ids: NDArray[np.int64]  # (n,) stable_hash of event_id
    event_times_ms: NDArray[np.int64]  # (n,) occurred_at
    event_kinds: NDArray[np.int8]  # (n,) Kind; PAD where the event has no items

    def __len__(self) -> int:
        return len(self.event_user)


class HashCache(dict[str, int]):
    """`stable_hash` by id, remembered for the ids in use; `trim` keeps it bounded between batches.

    >>> cache = HashCache(limit=2)
    >>> cache["a"] == stable_hash("a"), len(cache)
    (True, 1)
    """

    def __init__(self, *, limit: int = 200_000) -> None:
        if limit < 1:
            raise ValueError(f"HashCache got limit {limit}; it must be at least 1")
        super().__init__()
        self._limit = limit

    def __missing__(self, identifier: str) -> int:
        hashed = self[identifier] = stable_hash(identifier)
        return hashed

    def trim(self) -> None:
        """Start afresh when more than `limit` ids are held; those in use come back with their next event."""
        if len(self) > self._limit:
            self.clear()


def to_columns(events: Sequence[AnyUserEvent], *, hashes: HashCache) -> EventColumns:
    """The columns of `events`, in their order. `hashes` is the caller's, kept from batch to batch."""
    hashes.trim()
    n = len(events)
    numbers: dict[UserId, int] = {}
    event_user = np.array([numbers.setdefault(event.user_id, len(numbers)) for event in events], np.int32)
    users = list(numbers)
    user_hashes = np.array([hashes[user] for user in users], np.int64)
    event_ids = _hash_once([event.event_id for event in events])
    event_times_ms = np.array([event.occurred_at for event in events], np.int64)
    sessions = np.array(
        [0 if event.session_id is None else hashes[event.session_id] for event in events], np.int64
    )
    kinds = np.array([KIND_OF[event.__class__] for event in events], np.int8)
    items = [item for event in events for item in event.items]
    rows = np.repeat(np.arange(n, dtype=np.int32), [len(event.items) for event in events])
    interactions = Interactions(
        users=user_hashes[event_user[rows]],
        items=np.array([hashes[item.item_id] for item in items], np.int64),
        kinds=kinds[rows],
        times_ms=event_times_ms[rows],
        quantities=np.array([item.quantity for item in items], np.float32),
        sessions=sessions[rows],
        events=rows,
    )
    return EventColumns(
        interactions=interactions,
        users=users,
        user_hashes=user_hashes,
        event_user=event_user,
        event_ids=event_ids,
        event_times_ms=event_times_ms,
        event_kinds=kinds,
    )


def _hash_once(identifiers: list[str]) -> NDArray[np.int64]:
    """(n,) `stable_hash` of ids that do not come back, so that no cache helps."""
    digest = xxhash.xxh3_64_intdigest
    unsigned = np.array([digest(identifier.encode()) for identifier in identifiers], np.uint64)
    signed = unsigned.view(np.int64)
    signed[signed == 0] = 1
    return signed
