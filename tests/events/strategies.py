"""Hypothesis strategies for every valid event, item and recommendation."""

from typing import Any

from hypothesis import strategies as st

from events.ids import ItemId, UserId
from events.limits import EARLIEST_MS, MAX_ID_CHARS, MAX_MONEY, MAX_QUANTITY
from events.recommendation import Policy, Recommendation, RecommendedItem
from events.types import STRUCT_OF, AnyUserEvent, CatalogueItem, Item

NOW_MS = 1_700_000_000_000
DAY_MS = 86_400_000

_characters = st.characters(exclude_categories=["Cs", "Cc"])
ids = st.text(_characters, min_size=1, max_size=12) | st.text(
    _characters, min_size=MAX_ID_CHARS, max_size=MAX_ID_CHARS
)
texts = st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
money = st.none() | st.floats(0, MAX_MONEY, allow_nan=False)
places = st.none() | st.integers(0, 1_000_000)
times = st.integers(EARLIEST_MS, NOW_MS + DAY_MS)
_categories = ("item_category", "item_category2", "item_category3", "item_category4", "item_category5")

items = st.builds(
    Item,
    item_id=ids.map(ItemId),
    item_name=texts,
    quantity=st.integers(1, MAX_QUANTITY),
    price=money,
    index=places,
    item_brand=texts,
    **dict.fromkeys(_categories, texts),
)


def user_events(name: str) -> st.SearchStrategy[AnyUserEvent]:
    """Every valid event of that name."""
    fields: dict[str, Any] = {
        "event_id": ids,
        "occurred_at": times,
        "user_id": ids.map(UserId),
        "session_id": st.none() | ids,
        "rec_id": st.none() | ids,
        "slot": places,
    }
    extra: dict[str, Any] = {
        "items": st.lists(items, min_size=1, max_size=4).map(tuple),
        "item_list_id": texts,
        "item_list_name": texts,
        "transaction_id": st.none() | ids,
        "value": money,
        "currency": st.none() | st.sampled_from(["GBP", "EUR", "USD"]),
        "search_term": st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    }
    struct = STRUCT_OF[name]
    fields |= {field: values for field, values in extra.items() if field in struct.__struct_fields__}
    return st.builds(struct, **fields)


catalogue_items = st.builds(
    CatalogueItem,
    item_id=ids.map(ItemId),
    item_name=st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    description=texts,
    item_brand=texts,
    price=money,
    availability=st.sampled_from(["in_stock", "out_of_stock", "preorder", "backorder", "discontinued"]),
    image_vector=st.none() | st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=8).map(tuple),
    consumable=st.none() | st.booleans(),
    occurred_at=st.none() | times,
    **dict.fromkeys(_categories, texts),
)

_finite = st.floats(allow_nan=False, allow_infinity=False)
_probabilities = st.floats(0, 1)

recommendations = st.builds(
    Recommendation,
    rec_id=ids,
    user_id=ids.map(UserId),
    made_at=times,
    items=st.lists(
        st.builds(
            RecommendedItem,
            item_id=ids.map(ItemId),
            item_name=texts,
            score=_finite,
            slot=st.integers(0, 50),
            propensity=_probabilities,
            reason=st.text(_characters, max_size=10),
            sources=st.lists(st.text(_characters, max_size=5), max_size=3).map(tuple),
        ),
        max_size=4,
    ).map(tuple),
    policy=st.builds(
        Policy,
        arm=st.text(_characters, max_size=10),
        arm_propensity=_probabilities,
        context=st.integers(-(2**63), 2**63 - 1),
        explored=st.booleans(),
    ),
    model_version=st.integers(0, 2**53),
    index_version=st.integers(0, 2**53),
    seen_offsets=st.dictionaries(st.text(_characters, max_size=12), st.integers(0, 2**62), max_size=4),
    fresh_ms=_finite,
    degraded=st.sampled_from(["", "wide", "popular"]),
)
