"""Events become columns: rows in log order, users numbered by first appearance, ids as stable hashes."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.columns import Kind
from events.examples import EVENTS
from events.flatten import KIND_OF, EventColumns, HashCache, to_columns
from events.ids import ItemId, UserId, stable_hash
from events.types import STRUCT_OF, AnyUserEvent, Item, Purchase, Search, ViewItem
from tests.events.strategies import user_events

any_event = st.one_of([user_events(name) for name in sorted(STRUCT_OF)])


def bought(
    user: str, *items: tuple[str, int], event_id: str = "e", time_ms: int = 1_000_000_000_000
) -> Purchase:
    basket = tuple(Item(item_id=ItemId(item), quantity=quantity) for item, quantity in items)
    return Purchase(
        event_id=event_id, occurred_at=time_ms, user_id=UserId(user), session_id="s", items=basket
    )


def rows_of(columns: EventColumns) -> list[tuple[object, ...]]:
    found = columns.interactions
    return list(
        zip(
            found.users.tolist(),
            found.items.tolist(),
            found.kinds.tolist(),
            found.times_ms.tolist(),
            found.quantities.tolist(),
            found.sessions.tolist(),
            found.events.tolist(),
            strict=True,
        )
    )


def expected_rows(events: list[AnyUserEvent]) -> list[tuple[object, ...]]:
    """The plain reading of the contract, one row at a time."""
    kinds = {
        "view_item_list": Kind.IMPRESSION,
        "select_item": Kind.CLICK,
        "view_item": Kind.CLICK,
        "add_to_cart": Kind.CART,
        "remove_from_cart": Kind.UNCART,
        "purchase": Kind.PURCHASE,
        "refund": Kind.REFUND,
    }
    return [
        (
            stable_hash(event.user_id),
            stable_hash(item.item_id),
            int(kinds[str(event.__struct_config__.tag)]),
            event.occurred_at,
            float(np.float32(item.quantity)),
            stable_hash(event.session_id) if event.session_id is not None else 0,
            number,
        )
        for number, event in enumerate(events)
        for item in event.items
    ]


@settings(max_examples=150, deadline=None)
@given(events=st.lists(any_event, max_size=8))
def test_columns_hold_what_the_events_hold(events: list[AnyUserEvent]) -> None:
    columns = to_columns(events, hashes=HashCache())
    assert rows_of(columns) == expected_rows(events)
    assert len(columns) == len(events)
    assert [columns.users[number] for number in columns.event_user] == [event.user_id for event in events]
    assert columns.user_hashes.tolist() == [stable_hash(user) for user in columns.users]
    assert columns.event_ids.tolist() == [stable_hash(event.event_id) for event in events]
    assert columns.event_times_ms.tolist() == [event.occurred_at for event in events]


@settings(max_examples=50, deadline=None)
@given(events=st.lists(any_event, max_size=4))
def test_a_kept_cache_changes_nothing(events: list[AnyUserEvent]) -> None:
    tiny = HashCache(limit=1)
    for _ in range(2):
        assert rows_of(to_columns(events, hashes=tiny)) == expected_rows(events)


def test_users_are_numbered_by_first_appearance_and_the_items_of_a_basket_share_their_event() -> None:
    columns = to_columns(
        [bought("b", ("x", 1), ("y", 6)), bought("a", ("x", 2)), bought("b", ("z", 1))], hashes=HashCache()
    )
    assert columns.users == ["b", "a"]
    assert columns.event_user.tolist() == [0, 1, 0]
    assert columns.interactions.events.tolist() == [0, 0, 1, 2]
    assert columns.interactions.quantities.tolist() == [1, 6, 2, 1]
    assert columns.interactions.kinds.tolist() == [Kind.PURCHASE] * 4


def test_a_search_is_an_event_without_a_row() -> None:
    search = Search(event_id="q", occurred_at=1_000_000_000_000, user_id=UserId("a"), search_term="lantern")
    columns = to_columns([search, bought("a", ("x", 1))], hashes=HashCache())
    assert len(columns) == 2
    assert columns.interactions.events.tolist() == [1]


def test_no_events_make_empty_columns_of_the_right_types() -> None:
    columns = to_columns([], hashes=HashCache())
    assert (len(columns), len(columns.interactions), columns.users) == (0, 0, [])
    kinds = [np.int64, np.int64, np.int8, np.int64, np.float32, np.int64, np.int32]
    found = columns.interactions
    arrays: list[np.ndarray[Any, Any]] = [
        found.users,
        found.items,
        found.kinds,
        found.times_ms,
        found.quantities,
        found.sessions,
        found.events,
    ]
    assert [array.dtype for array in arrays] == kinds
    assert [columns.event_user.dtype, columns.event_ids.dtype] == [np.int32, np.int64]


def test_the_cache_of_hashes_stays_bounded() -> None:
    hashes = HashCache(limit=100)
    for number in range(1_000):
        event = ViewItem(
            event_id=f"e{number}",
            occurred_at=1_000_000_000_000,
            user_id=UserId(f"u{number}"),
            session_id=f"s{number}",
            items=(Item(item_id=ItemId(f"i{number}")),),
        )
        to_columns([event], hashes=hashes)
        assert len(hashes) <= 103


def test_a_cache_must_hold_something() -> None:
    with pytest.raises(ValueError, match="limit 0"):
        HashCache(limit=0)


def test_every_event_has_a_kind() -> None:
    assert set(KIND_OF) == set(STRUCT_OF.values())
    assert [struct for struct, kind in KIND_OF.items() if kind is Kind.PAD] == [Search]
    assert len(to_columns(list(EVENTS.values()), hashes=HashCache())) == len(EVENTS)
