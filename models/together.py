"""Which items shoppers touched together: pairs to pre-train the text encoder on."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from events.types import AnyUserEvent, Purchase, Refund, RemoveFromCart, ViewItemList

_NOT_CHOSEN = (Refund, RemoveFromCart, ViewItemList)


def sessions(events: Iterable[AnyUserEvent], *, gap_ms: int) -> Iterator[list[str]]:
    """The distinct items of each basket and of each session of clicks and carts, in order of their ends.

    A purchase is a session of its own; other events of a user without a pause of `gap_ms` are one. What was
    returned, removed or only shown says nothing. `events` in time order.
    """
    open_sessions: dict[str, tuple[int, dict[str, None]]] = {}
    for event in events:
        if isinstance(event, _NOT_CHOSEN):
            continue
        items = {str(item.item_id): None for item in event.items}
        if isinstance(event, Purchase):
            yield list(items)
            continue
        last_ms, before = open_sessions.get(event.user_id, (event.occurred_at, {}))
        if event.occurred_at - last_ms > gap_ms:
            yield list(before)
            before = {}
        open_sessions[event.user_id] = (event.occurred_at, before | items)
    for _, items in open_sessions.values():
        yield list(items)


def pairs_of(
    groups: Iterable[list[str]], *, known: dict[str, int], per_group: int, seed: int
) -> NDArray[np.int64]:
    """(P, 2) places of items found together, at most `per_group` pairs of each group, in the groups' order.

    `known`: each item's place; items without one are left out.
    """
    rng = np.random.default_rng(seed)
    pairs: list[tuple[int, int]] = []
    for group in groups:
        places = [known[item] for item in group if item in known]
        for _ in range(min(per_group, len(places) // 2)):
            one, two = rng.choice(len(places), 2, replace=False)
            pairs.append((places[one], places[two]))
    return np.array(pairs, np.int64).reshape(-1, 2)
