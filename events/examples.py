"""One valid event of each kind and one recommendation, as the published contract shows them."""

from events.ids import ItemId, UserId
from events.recommendation import Policy, Recommendation, RecommendedItem, rec_id_of
from events.types import (
    AddToCart,
    AnyUserEvent,
    CatalogueItem,
    Item,
    Purchase,
    Refund,
    RemoveFromCart,
    Search,
    SelectItem,
    ViewItem,
    ViewItemList,
)

_USER = UserId("17850")
_AT_MS = 1_323_420_060_000  # 2011-12-09T08:41:00Z
_SESSION = "s-42"
_HEART = Item(item_id=ItemId("85123A"), item_name="WHITE HANGING HEART T-LIGHT HOLDER", price=2.55, index=0)
_LANTERN = Item(item_id=ItemId("71053"), item_name="WHITE METAL LANTERN", price=3.39, index=1)
_SIX_HEARTS = Item(item_id=ItemId("85123A"), quantity=6, price=2.55)
_OFFSETS = {"clicks-3": 41, "purchases-3": 7}
_REC_ID = rec_id_of(_USER, seen_offsets=_OFFSETS, model_version=12, index_version=3)

EVENTS: dict[str, AnyUserEvent] = {
    "view_item_list": ViewItemList(
        event_id="e-1",
        occurred_at=_AT_MS,
        user_id=_USER,
        session_id=_SESSION,
        rec_id=_REC_ID,
        items=(_HEART, _LANTERN),
    ),
    "select_item": SelectItem(
        event_id="e-2",
        occurred_at=_AT_MS + 4_000,
        user_id=_USER,
        session_id=_SESSION,
        rec_id=_REC_ID,
        slot=1,
        items=(_LANTERN,),
    ),
    "view_item": ViewItem(
        event_id="e-3", occurred_at=_AT_MS + 5_000, user_id=_USER, session_id=_SESSION, items=(_LANTERN,)
    ),
    "add_to_cart": AddToCart(
        event_id="e-4", occurred_at=_AT_MS + 60_000, user_id=_USER, session_id=_SESSION, items=(_SIX_HEARTS,)
    ),
    "remove_from_cart": RemoveFromCart(
        event_id="e-5", occurred_at=_AT_MS + 70_000, user_id=_USER, session_id=_SESSION, items=(_SIX_HEARTS,)
    ),
    "purchase": Purchase(
        event_id="e-6",
        occurred_at=_AT_MS + 90_000,
        user_id=_USER,
        session_id=_SESSION,
        transaction_id="536365",
        value=15.3,
        currency="GBP",
        items=(_SIX_HEARTS,),
    ),
    "refund": Refund(
        event_id="e-7",
        occurred_at=_AT_MS + 864_000_000,
        user_id=_USER,
        transaction_id="536365",
        value=15.3,
        currency="GBP",
        items=(_SIX_HEARTS,),
    ),
    "search": Search(
        event_id="e-8", occurred_at=_AT_MS, user_id=_USER, session_id=_SESSION, search_term="white lantern"
    ),
}

ITEM = CatalogueItem(
    item_id=ItemId("85123A"),
    item_name="WHITE HANGING HEART T-LIGHT HOLDER",
    description="A heart of white painted metal that holds a tea light.",
    item_brand="Lumen",
    item_category="Home",
    item_category2="Candle holders",
    price=2.55,
    consumable=False,
)

RECOMMENDATION = Recommendation(
    rec_id=_REC_ID,
    user_id=_USER,
    made_at=_AT_MS + 5_020,
    items=(
        RecommendedItem(
            item_id=ItemId("85123A"),
            item_name="WHITE HANGING HEART T-LIGHT HOLDER",
            score=3.25,
            slot=0,
            propensity=0.75,
            reason="often bought together with WHITE METAL LANTERN",
            sources=("covisitation", "session_knn"),
        ),
    ),
    policy=Policy(arm="balanced", arm_propensity=0.9, context=2),
    model_version=12,
    index_version=3,
    seen_offsets=_OFFSETS,
    fresh_ms=19.5,
)
