"""One page view of a shopper, as the events that a storefront would send for it: pure, given the chances."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from events.ids import UserId
from events.recommendation import RecommendedItem
from events.types import AddToCart, AnyUserEvent, Item, Purchase, SelectItem, ViewItem, ViewItemList
from load.invented_catalogue import InventedCatalogue
from load.shoppers import examined

CART_AFTER_CLICK = 0.35
PURCHASE_AFTER_CART = 0.5
ORGANIC_SHARPNESS = 1.5  # how much likelier a browsing shopper opens what is liked


@dataclass(frozen=True, slots=True)
class Visit:
    """Who looks, in which session, at what time, and how the events are to be numbered."""

    user_id: UserId
    session_id: str
    now_ms: int
    id_prefix: str


def view_slate(
    visit: Visit,
    *,
    rec_id: str,
    slate: Sequence[RecommendedItem],
    shown: NDArray[np.int64],
    appeal: NDArray[np.float64],
    catalogue: InventedCatalogue,
    rng: np.random.Generator,
) -> Iterator[AnyUserEvent]:
    """The impression of a slate and what the shopper does with it; each event echoes `rec_id`.

    `shown`: (C,) the slate's rows in the catalogue, -1 where an item is not in it; `appeal`: (N,).
    """
    items = tuple(Item(item_id=entry.item_id, index=entry.slot) for entry in slate)
    yield ViewItemList(
        event_id=f"{visit.id_prefix}l",
        occurred_at=visit.now_ms,
        user_id=visit.user_id,
        session_id=visit.session_id,
        rec_id=rec_id,
        items=items,
        item_list_id="headwater",
    )
    worth = np.where(shown >= 0, appeal[np.maximum(shown, 0)], 0.0)
    clicked = np.flatnonzero(rng.random(len(shown)) < examined(len(shown)) * worth)
    for place in clicked.tolist():
        slot = slate[place].slot
        item = _item(catalogue, int(shown[place]))
        yield SelectItem(
            event_id=f"{visit.id_prefix}c{slot}",
            occurred_at=visit.now_ms,
            user_id=visit.user_id,
            session_id=visit.session_id,
            rec_id=rec_id,
            slot=slot,
            items=(item,),
            item_list_id="headwater",
        )
        yield from _after_click(visit, item, rec_id=rec_id, slot=slot, rng=rng)


def browse(
    visit: Visit, *, appeal: NDArray[np.float64], catalogue: InventedCatalogue, rng: np.random.Generator
) -> Iterator[AnyUserEvent]:
    """The shopper finds an item without help, by taste, and opens it."""
    weight = appeal**ORGANIC_SHARPNESS
    item = _item(catalogue, int(rng.choice(len(weight), p=weight / weight.sum())))
    yield ViewItem(
        event_id=f"{visit.id_prefix}v",
        occurred_at=visit.now_ms,
        user_id=visit.user_id,
        session_id=visit.session_id,
        items=(item,),
    )
    yield from _after_click(visit, item, rec_id=None, slot=None, rng=rng)


def _after_click(
    visit: Visit, item: Item, *, rec_id: str | None, slot: int | None, rng: np.random.Generator
) -> Iterator[AnyUserEvent]:
    carted, bought = rng.random(2) < (CART_AFTER_CLICK, PURCHASE_AFTER_CART)
    place = "" if slot is None else str(slot)
    if carted:
        yield AddToCart(
            event_id=f"{visit.id_prefix}a{place}",
            occurred_at=visit.now_ms,
            user_id=visit.user_id,
            session_id=visit.session_id,
            rec_id=rec_id,
            slot=slot,
            items=(item,),
        )
    if carted and bought:
        yield Purchase(
            event_id=f"{visit.id_prefix}p{place}",
            occurred_at=visit.now_ms,
            user_id=visit.user_id,
            session_id=visit.session_id,
            rec_id=rec_id,
            slot=slot,
            items=(item,),
        )


def _item(catalogue: InventedCatalogue, row: int) -> Item:
    entry = catalogue.items[row]
    return Item(item_id=entry.item_id, item_category=entry.item_category, price=entry.price)
