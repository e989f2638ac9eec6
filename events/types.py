"""The events of a storefront, in GA4's e-commerce names: what the codec makes of a record's JSON.

One struct per value of the field `event`. Unknown fields are tolerated. Bounds that one field can state by
itself stand in the types, so that the published JSON Schema has them too; the rest are the codec's.
"""

from typing import Annotated, Any, ClassVar, Literal, TypeAlias, get_args

from msgspec import Meta, Struct

from events.ids import ItemId, UserId
from events.limits import (
    EARLIEST_MS,
    LATEST_MS,
    MAX_ID_CHARS,
    MAX_ITEMS,
    MAX_MONEY,
    MAX_PLACE,
    MAX_QUANTITY,
    MAX_VECTOR,
)

_ID = Meta(
    min_length=1,
    max_length=MAX_ID_CHARS,
    description="1 to 256 characters, no control characters",
    extra_json_schema={"pattern": "^[^\\u0000-\\u001f\\u007f-\\u009f]*$"},  # at run time the codec checks it
)
_TIME = Meta(
    ge=EARLIEST_MS,
    le=LATEST_MS,
    description="Epoch milliseconds, or ISO 8601 with an offset; from 2000 to one day ahead of the clock.",
    examples=[1323420060000, "2011-12-09T08:41:00Z"],
    extra_json_schema={"format": "date-time"},
)

Id: TypeAlias = Annotated[str, _ID]
User: TypeAlias = Annotated[UserId, _ID]
ItemKey: TypeAlias = Annotated[ItemId, _ID]
TimeMs: TypeAlias = Annotated[int, _TIME]
Money: TypeAlias = Annotated[float, Meta(ge=0, le=MAX_MONEY)]
Quantity: TypeAlias = Annotated[int, Meta(ge=1, le=MAX_QUANTITY)]
Place: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_PLACE, description="0 is the first place")]
Currency: TypeAlias = Annotated[str, Meta(min_length=3, max_length=3, description="ISO 4217")]
VectorPart: TypeAlias = Annotated[float, Meta(ge=-1e6, le=1e6)]


class Item(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """An item as an event names it; only `item_id` and `quantity` decide anything."""

    item_id: ItemKey
    item_name: str | None = None
    quantity: Quantity = 1
    price: Money | None = None
    index: Place | None = None
    item_brand: str | None = None
    item_category: str | None = None
    item_category2: str | None = None
    item_category3: str | None = None
    item_category4: str | None = None
    item_category5: str | None = None


class UserEvent(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag_field="event"):
    """What every event of a shopper has. `rec_id` and `slot` echo the recommendation that led to it."""

    event_id: Id
    occurred_at: TimeMs
    user_id: User
    session_id: Id | None = None
    rec_id: Id | None = None
    slot: Place | None = None


class ItemsEvent(UserEvent, frozen=True, kw_only=True, omit_defaults=True):
    """An event about one or more items."""

    items: Annotated[tuple[Item, ...], Meta(min_length=1, max_length=MAX_ITEMS)]


class ViewItemList(ItemsEvent, frozen=True, kw_only=True, omit_defaults=True, tag="view_item_list"):
    """The shopper was shown a list: an impression of each item."""

    item_list_id: str | None = None
    item_list_name: str | None = None


class SelectItem(ItemsEvent, frozen=True, kw_only=True, omit_defaults=True, tag="select_item"):
    """The shopper picked an item from a list."""

    item_list_id: str | None = None
    item_list_name: str | None = None


class ViewItem(ItemsEvent, frozen=True, kw_only=True, omit_defaults=True, tag="view_item"):
    """The shopper opened an item's page."""


class AddToCart(ItemsEvent, frozen=True, kw_only=True, omit_defaults=True, tag="add_to_cart"):
    """The shopper put items into the cart."""


class RemoveFromCart(ItemsEvent, frozen=True, kw_only=True, omit_defaults=True, tag="remove_from_cart"):
    """The shopper took items out of the cart."""


class Purchase(ItemsEvent, frozen=True, kw_only=True, omit_defaults=True, tag="purchase"):
    """The shopper bought the items: one basket."""

    transaction_id: Id | None = None
    value: Money | None = None
    currency: Currency | None = None


class Refund(ItemsEvent, frozen=True, kw_only=True, omit_defaults=True, tag="refund"):
    """The shopper gave the items back."""

    transaction_id: Id | None = None
    value: Money | None = None
    currency: Currency | None = None


class Search(UserEvent, frozen=True, kw_only=True, omit_defaults=True, tag="search"):
    """The shopper searched."""

    items: ClassVar[tuple[Item, ...]] = ()  # so that every event has items to walk; not a field
    search_term: str


AnyUserEvent: TypeAlias = (
    ViewItemList | SelectItem | ViewItem | AddToCart | RemoveFromCart | Purchase | Refund | Search
)

STRUCT_OF: dict[str, Any] = {struct.__struct_config__.tag: struct for struct in get_args(AnyUserEvent)}
"""The struct of each value of the field `event`; the keys of `events.topics.TOPIC_OF`, less `item`."""

Availability: TypeAlias = Literal["in_stock", "out_of_stock", "preorder", "backorder", "discontinued"]


class CatalogueItem(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="event", tag="item"):
    """An item of the catalogue, whole: a later record with the same `item_id` replaces it."""

    item_id: ItemKey
    item_name: str
    description: str | None = None
    item_brand: str | None = None
    item_category: str | None = None
    item_category2: str | None = None
    item_category3: str | None = None
    item_category4: str | None = None
    item_category5: str | None = None
    price: Money | None = None
    availability: Availability = "in_stock"
    image_vector: Annotated[tuple[VectorPart, ...], Meta(min_length=1, max_length=MAX_VECTOR)] | None = None
    consumable: bool | None = None
    occurred_at: TimeMs | None = None

    def text(self) -> str:
        """What the text encoder reads: name, brand, categories, description, in that order."""
        categories = (
            self.item_category,
            self.item_category2,
            self.item_category3,
            self.item_category4,
            self.item_category5,
        )
        parts = (self.item_name, self.item_brand, *categories, self.description)
        return ". ".join(part.strip() for part in parts if part and part.strip())


class Tombstone(Struct, frozen=True, gc=False):
    """The item is gone from the catalogue."""

    item_id: ItemId
