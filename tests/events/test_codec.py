"""What a good record becomes: round trips, times, envelopes, CloudEvents headers, unknown fields."""

import json
from datetime import datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.codec import decode, decode_item, encode, encode_envelope
from events.examples import EVENTS, ITEM
from events.ids import ItemId
from events.topics import TOPIC_OF, USER_TOPICS, Topic, events_on
from events.types import STRUCT_OF, CatalogueItem, Purchase, Tombstone, ViewItem
from tests.events.strategies import NOW_MS, catalogue_items, user_events

NAMES = sorted(EVENTS)


def click(**changes: Any) -> dict[str, Any]:
    """A valid view_item as plain JSON values, with fields changed, or left out where None."""
    fields = {
        "event": "view_item",
        "event_id": "e-1",
        "occurred_at": 1_323_420_060_000,
        "user_id": "17850",
        "items": [{"item_id": "85123A"}],
    }
    return {name: value for name, value in (fields | changes).items() if value is not None}


def decoded(fields: Any, **arguments: Any) -> Any:
    """The one event in a record that must be good."""
    result = decode(json.dumps(fields).encode(), topic=Topic.CLICKS, now_ms=NOW_MS, **arguments)
    assert result.rejects == []
    assert len(result.events) == 1
    return result.events[0]


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_decoding_gives_back_what_was_encoded(name: str, data: st.DataObject) -> None:
    event = data.draw(user_events(name))
    result = decode(encode(event), topic=TOPIC_OF[name], now_ms=NOW_MS, key=event.user_id.encode())
    assert result.rejects == []
    assert result.events == [event]
    assert type(result.events[0]) is STRUCT_OF[name]


@pytest.mark.parametrize("topic", USER_TOPICS)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_an_envelope_gives_back_its_events_in_order(topic: Topic, data: st.DataObject) -> None:
    one = st.one_of([user_events(name) for name in events_on(topic)])
    events = data.draw(st.lists(one, min_size=1, max_size=6))
    result = decode(encode_envelope(events), topic=topic, now_ms=NOW_MS)
    assert result.rejects == []
    assert result.events == events


@settings(max_examples=100, deadline=None)
@given(item=catalogue_items)
def test_a_catalogue_item_round_trips(item: CatalogueItem) -> None:
    assert decode_item(encode(item), now_ms=NOW_MS, key=item.item_id.encode()) == item


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_record_spread_over_lines_means_the_same(data: st.DataObject) -> None:
    event = data.draw(user_events("purchase"))
    pretty = msgspec.json.format(encode_envelope([event]), indent=4)
    shuffled = b'{"shop": "a", "note": {"event": 1}, ' + encode_envelope([event])[1:]
    for raw in (pretty, shuffled):
        assert decode(raw, topic=Topic.PURCHASES, now_ms=NOW_MS).events == [event]


@pytest.mark.parametrize(
    "text",
    [
        "2011-12-09T08:41:00Z",
        "2011-12-09T08:41:00.000+00:00",
        "2011-12-09T09:41:00+01:00",
        "2011-12-08 22:41:00-10:00",
    ],
)
def test_iso_and_millisecond_times_are_the_same_time(text: str) -> None:
    assert decoded(click(occurred_at=text)) == decoded(click(occurred_at=1_323_420_060_000))


@settings(max_examples=100, deadline=None)
@given(
    moment=st.datetimes(
        min_value=datetime(2001, 1, 1), max_value=datetime(2022, 1, 1), timezones=st.timezones()
    )
)
def test_every_iso_time_is_its_exact_millisecond(moment: datetime) -> None:
    whole = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
    expected = round(whole.timestamp() * 1000)
    assert decoded(click(occurred_at=whole.isoformat())).occurred_at == expected


def test_an_envelope_may_mix_iso_and_millisecond_times() -> None:
    raw = json.dumps({"events": [click(), click(occurred_at="2011-12-09T08:41:00Z")]}).encode()
    first, second = decode(raw, topic=Topic.CLICKS, now_ms=NOW_MS).events
    assert first == second


def test_unknown_fields_are_ignored_at_every_level() -> None:
    extra = {"new": [1, {"deep": None}], "debug_mode": True}
    noisy = click(items=[{"item_id": "85123A", "coupon": "SUMMER", **extra}], **extra)
    assert decoded(noisy) == decoded(click())
    raw = json.dumps({"events": [noisy], "sent_by": "shop"}).encode()
    assert decode(raw, topic=Topic.CLICKS, now_ms=NOW_MS).events == [decoded(click())]


def test_a_single_event_may_have_an_unknown_field_named_events() -> None:
    assert decoded({"events": [1, 2], **click()}) == decoded(click())
    assert decoded(click(events=[1, 2])) == decoded(click())


def test_whole_numbers_may_be_written_as_floats() -> None:
    event = decoded(click(occurred_at=1.32342006e12, items=[{"item_id": "a", "quantity": 2.0, "index": 1.0}]))
    assert event.occurred_at == 1_323_420_060_000
    assert (event.items[0].quantity, event.items[0].index) == (2, 1)


def test_cloudevents_headers_fill_what_the_payload_leaves_out() -> None:
    headers = [
        ("ce_id", b"ce-7"),
        ("ce_time", b"2011-12-09T08:41:00Z"),
        ("ce_subject", b"17850"),
        ("ce_type", b"com.shop.click"),
        ("traceparent", None),
    ]
    bare = click(event_id=None, occurred_at=None, user_id=None)
    event = decoded(bare, headers=headers, key=b"17850")
    assert (event.event_id, event.occurred_at, event.user_id) == ("ce-7", 1_323_420_060_000, "17850")


def test_the_payload_wins_over_cloudevents_headers() -> None:
    assert decoded(click(), headers=[("ce_id", b"other"), ("ce_subject", b"other")]) == decoded(click())


def test_ids_may_hold_escapes_and_any_script() -> None:
    event = decoded(click(user_id='жан/"日本" \\ 😀', items=[{"item_id": "naïve‍"}]))
    assert event.user_id == 'жан/"日本" \\ 😀'


def test_text_may_hold_control_characters_where_ids_may_not() -> None:
    assert (
        decoded(click(items=[{"item_id": "a", "item_name": "two\nlines"}])).items[0].item_name == "two\nlines"
    )


def test_an_envelope_of_several_users_is_not_held_to_its_key() -> None:
    raw = json.dumps({"events": [click(user_id="a"), click(user_id="b")]}).encode()
    result = decode(raw, topic=Topic.CLICKS, now_ms=NOW_MS, key=b"a")
    assert [event.user_id for event in result.events] == ["a", "b"]


def test_one_bad_event_of_an_envelope_loses_no_other() -> None:
    events = [click(event_id=str(number)) for number in range(5)]
    events[1] = click(user_id=7)
    events[3] = click(event="purchase")
    result = decode(json.dumps({"events": events}).encode(), topic=Topic.CLICKS, now_ms=NOW_MS)
    assert [event.event_id for event in result.events] == ["0", "2", "4"]
    assert [(reject.index, str(reject.error.reason)) for reject in result.rejects] == [
        (1, "wrong-type"),
        (3, "wrong-topic"),
    ]
    assert [json.loads(reject.raw) for reject in result.rejects] == [events[1], events[3]]


@pytest.mark.parametrize(
    "broken",
    [
        b'"price": NaN',
        b'"price": -Infinity',
        b'"price": 1e999',
        rb'"item_name": "cut \ud83d"',
        b'"item_name": "\xff\xfe"',
        b'"item_name": "two\nlines"',
    ],
)
def test_an_event_that_is_not_json_loses_no_other_event_of_its_envelope(broken: bytes) -> None:
    good = json.dumps(click()).encode()
    bad = b'{"event": "view_item", "event_id": "x", "items": [{"item_id": "a", ' + broken + b"}]}"
    raw = b'{"source": "shop", "events": [' + good + b", " + bad + b" , " + good + b"]}"
    result = decode(raw, topic=Topic.CLICKS, now_ms=NOW_MS)
    assert result.events == [decoded(click())] * 2
    assert [(reject.index, reject.raw) for reject in result.rejects] == [(1, bad)]


def test_a_null_value_under_a_key_removes_the_item() -> None:
    assert decode_item(None, now_ms=NOW_MS, key="тест".encode()) == Tombstone(item_id=ItemId("тест"))


def test_an_item_needs_no_event_name_and_takes_iso_times() -> None:
    raw = b'{"item_id": "a", "item_name": "A", "occurred_at": "2011-12-09T08:41:00Z", "colour": "red"}'
    expected = CatalogueItem(item_id=ItemId("a"), item_name="A", occurred_at=1_323_420_060_000)
    assert decode_item(raw, now_ms=NOW_MS) == expected


def test_the_text_of_an_item_is_its_names_then_its_description() -> None:
    assert ITEM.text() == (
        "WHITE HANGING HEART T-LIGHT HOLDER. Lumen. Home. Candle holders. "
        "A heart of white painted metal that holds a tea light."
    )
    assert CatalogueItem(item_id=ItemId("a"), item_name=" A ", description="  ").text() == "A"


def test_defaults_are_left_out_of_the_encoding() -> None:
    event = decoded(click())
    assert isinstance(event, ViewItem)
    assert json.loads(encode(event)) == click()


def test_events_are_frozen() -> None:
    with pytest.raises(AttributeError):
        EVENTS["purchase"].user_id = "other"  # type: ignore[misc,assignment]
    assert isinstance(EVENTS["purchase"], Purchase)


def test_decode_refuses_a_topic_that_no_shopper_event_lies_on() -> None:
    with pytest.raises(ValueError, match="got topic items"):
        decode(b"{}", topic=Topic.ITEMS, now_ms=NOW_MS)


def test_an_envelope_of_no_events_cannot_be_encoded() -> None:
    with pytest.raises(ValueError, match="at least one"):
        encode_envelope([])


def test_every_user_event_has_a_topic_and_a_struct() -> None:
    assert set(STRUCT_OF) | {"item"} == set(TOPIC_OF)
    assert set(EVENTS) == set(STRUCT_OF)
