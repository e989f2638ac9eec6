"""Each reason for setting an event aside, reached; each says what was received and what was expected."""

import json
from typing import Any

import pytest

from events.codec import decode, decode_item
from events.errors import BadEvent, HeadwaterError, Reason
from events.limits import EARLIEST_MS, MAX_EVENTS, MAX_EXPECTED_CHARS, MAX_PATH_CHARS, MAX_RECORD_BYTES
from events.topics import Topic
from tests.events.strategies import DAY_MS, NOW_MS
from tests.events.test_codec import click


def bytes_of(fields: Any) -> bytes:
    return json.dumps(fields).encode()


def item(**changes: Any) -> dict[str, Any]:
    return {"item_id": "a", **changes}


ONE_BYTE_TOO_MANY = bytes_of(click(pad="x"))[:-2].ljust(MAX_RECORD_BYTES - 1, b"x") + b'"}'

WHOLE_RECORDS: list[tuple[Reason, str, bytes | None]] = [
    (Reason.EMPTY, "$", None),
    (Reason.EMPTY, "$", b""),
    (Reason.EMPTY, "$.events", b'{"events": []}'),
    (Reason.EMPTY, "$.events", b'{"sent_by": "shop, in a hurry", "events": []}'),
    (Reason.TOO_LARGE, "$", ONE_BYTE_TOO_MANY),
    (Reason.TOO_MANY_EVENTS, "$.events", b'{"events": [' + b"0," * MAX_EVENTS + b"0]}"),
    (Reason.TOO_MANY_EVENTS, "$.events", b'{"events": [' + b"NaN," * MAX_EVENTS + b"NaN]}"),
    (Reason.TOO_DEEP, "$", b"[" * 100_000),
    (Reason.TOO_DEEP, "$", bytes_of(click())[:-1] + b', "x": ' + b"[" * 50_000 + b"]" * 50_000 + b"}"),
    (Reason.NOT_UTF8, "$", bytes_of(click()).replace(b"17850", b"178\xff0")),
    (Reason.NOT_JSON, "$", b"event=view_item"),
    (Reason.NOT_JSON, "$", bytes_of(click())[:-1]),
    (Reason.NOT_JSON, "$", bytes_of(click()) + b"}"),
    (Reason.NOT_JSON, "$", bytes_of({"events": [click()]})[:-1]),
    (Reason.NOT_JSON, "$", b"\xef\xbb\xbf" + bytes_of(click())),
    (Reason.WRONG_TYPE, "$", b"[]"),
    (Reason.WRONG_TYPE, "$", b"null"),
    (Reason.WRONG_TYPE, "$.events", b'{"events": {"a": 1}}'),
    (Reason.WRONG_TYPE, "$", b'{"events": ["view_item"]}'),
]

SINGLE_EVENTS: list[tuple[Reason, str, dict[str, Any]]] = [
    (Reason.UNKNOWN_EVENT, "$.event", click(event="page_view")),
    (Reason.WRONG_TOPIC, "$.event", click(event="purchase")),
    (Reason.WRONG_TOPIC, "$.event", click(event="item")),
    (Reason.MISSING_FIELD, "$.event", click(event=None)),
    (Reason.MISSING_FIELD, "$.event_id", click(event_id=None)),
    (Reason.MISSING_FIELD, "$.user_id", click(user_id=None)),
    (Reason.MISSING_FIELD, "$.occurred_at", click(occurred_at=None)),
    (Reason.MISSING_FIELD, "$.items[1].item_id", click(items=[item(), {"item_name": "A"}])),
    (Reason.WRONG_TYPE, "$.event", click(event=3)),
    (Reason.WRONG_TYPE, "$.user_id", click(user_id=17850)),
    (Reason.WRONG_TYPE, "$.occurred_at", click(occurred_at=True)),
    (Reason.WRONG_TYPE, "$.occurred_at", click(occurred_at=1323420060000.5)),
    (Reason.WRONG_TYPE, "$.items", click(items={"item_id": "a"})),
    (Reason.WRONG_TYPE, "$.items[0]", click(items=["a"])),
    (Reason.WRONG_TYPE, "$.items[0].price", click(items=[item(price="2.55")])),
    (Reason.WRONG_TYPE, "$.items[0].quantity", click(items=[item(quantity=1.5)])),
    (Reason.BAD_TIME, "$.occurred_at", click(occurred_at="2011-12-09T08:41:00")),
    (Reason.BAD_TIME, "$.occurred_at", click(occurred_at="2011-12-09")),
    (Reason.BAD_TIME, "$.occurred_at", click(occurred_at="1323420060000")),
    (Reason.TIME_OUT_OF_RANGE, "$.occurred_at", click(occurred_at=1_323_420_060)),
    (Reason.TIME_OUT_OF_RANGE, "$.occurred_at", click(occurred_at=EARLIEST_MS - 1)),
    (Reason.TIME_OUT_OF_RANGE, "$.occurred_at", click(occurred_at=NOW_MS + DAY_MS + 1)),
    (Reason.TIME_OUT_OF_RANGE, "$.occurred_at", click(occurred_at=10**30)),
    (Reason.TIME_OUT_OF_RANGE, "$.occurred_at", click(occurred_at="1999-12-31T23:59:59Z")),
    (Reason.TIME_OUT_OF_RANGE, "$.occurred_at", click(occurred_at="0001-01-01T00:00:00+14:00")),
    (Reason.BAD_ID, "$.user_id", click(user_id="")),
    (Reason.BAD_ID, "$.user_id", click(user_id="u" * 257)),
    (Reason.BAD_ID, "$.user_id", click(user_id="a\u0000b")),
    (Reason.BAD_ID, "$.event_id", click(event_id="a\u007f")),
    (Reason.BAD_ID, "$.session_id", click(session_id="a\nb")),
    (Reason.BAD_ID, "$.rec_id", click(rec_id="\u0085")),
    (Reason.BAD_ID, "$.items[1].item_id", click(items=[item(), item(item_id="\t")])),
    (Reason.BAD_NUMBER, "$.items[0].quantity", click(items=[item(quantity=0)])),
    (Reason.BAD_NUMBER, "$.items[0].quantity", click(items=[item(quantity=1_000_001)])),
    (Reason.BAD_NUMBER, "$.items[0].quantity", click(items=[item(quantity=10**30)])),
    (Reason.BAD_NUMBER, "$.items[0].price", click(items=[item(price=-0.01)])),
    (Reason.BAD_NUMBER, "$.slot", click(slot=-1)),
    (Reason.NO_ITEMS, "$.items", click(items=None)),
    (Reason.NO_ITEMS, "$.items", click(items=[])),
    (Reason.TOO_MANY_ITEMS, "$.items", click(items=[item()] * 1_001)),
]


def rejected(raw: bytes | None, *, topic: Topic = Topic.CLICKS, **arguments: Any) -> BadEvent:
    """The error of a record in which nothing is good."""
    result = decode(raw, topic=topic, now_ms=NOW_MS, **arguments)
    assert result.events == []
    assert [reject.index for reject in result.rejects] == [0]
    assert result.rejects[0].raw in (raw or b"")
    return result.rejects[0].error


@pytest.mark.parametrize(("reason", "path", "raw"), WHOLE_RECORDS)
def test_a_record_that_holds_no_event_is_set_aside(reason: Reason, path: str, raw: bytes | None) -> None:
    error = rejected(raw)
    assert (error.reason, error.path) == (reason, path)
    assert error.received
    assert error.expected


@pytest.mark.parametrize(("reason", "path", "fields"), SINGLE_EVENTS)
def test_a_bad_event_is_set_aside_alone_and_in_an_envelope(
    reason: Reason, path: str, fields: dict[str, Any]
) -> None:
    alone = rejected(bytes_of(fields))
    assert (alone.reason, alone.path) == (reason, path)
    result = decode(bytes_of({"events": [click(), fields]}), topic=Topic.CLICKS, now_ms=NOW_MS)
    assert len(result.events) == 1
    (reject,) = result.rejects
    assert (reject.index, reject.error.reason, reject.error.path) == (1, reason, path)
    assert json.loads(reject.raw) == fields


def test_a_record_keyed_by_another_user_is_set_aside() -> None:
    error = rejected(bytes_of(click()), key=b"17851")
    assert (error.reason, error.path) == (Reason.WRONG_KEY, "$.user_id")
    assert "b'17851'" in error.received
    assert "'17850'" in error.expected


def test_a_record_without_a_key_is_not_held_to_one() -> None:
    for key in (None, b""):
        assert decode(bytes_of(click()), topic=Topic.CLICKS, now_ms=NOW_MS, key=key).rejects == []


def test_the_time_bounds_are_inclusive() -> None:
    for time_ms in (EARLIEST_MS, NOW_MS + DAY_MS):
        fields = click(occurred_at=time_ms)
        assert decode(bytes_of(fields), topic=Topic.CLICKS, now_ms=NOW_MS).rejects == []


def test_a_record_of_the_largest_size_is_decoded() -> None:
    raw = ONE_BYTE_TOO_MANY.replace(b"xx", b"x", 1)
    assert len(raw) == MAX_RECORD_BYTES
    assert len(decode(raw, topic=Topic.CLICKS, now_ms=NOW_MS).events) == 1


def test_a_search_needs_its_term_and_no_items() -> None:
    fields = click(event="search", items=None, search_term="lantern")
    assert decode(bytes_of(fields), topic=Topic.SEARCHES, now_ms=NOW_MS).rejects == []
    del fields["search_term"]
    error = rejected(bytes_of(fields), topic=Topic.SEARCHES)
    assert (error.reason, error.path) == (Reason.MISSING_FIELD, "$.search_term")


def test_a_currency_is_three_letters() -> None:
    error = rejected(bytes_of(click(event="purchase", currency="POUNDS")), topic=Topic.PURCHASES)
    assert (error.reason, error.path, error.received) == (Reason.BAD_VALUE, "$.currency", "'POUNDS'")


def test_a_cloudevents_header_that_is_not_utf8_is_named() -> None:
    error = rejected(bytes_of(click(event_id=None)), headers=[("ce_id", b"\xff")])
    assert (error.reason, error.path) == (Reason.NOT_UTF8, "headers.ce_id")


def test_a_cloudevents_subject_is_held_to_the_key() -> None:
    error = rejected(bytes_of(click(user_id=None)), headers=[("ce_subject", b"a")], key=b"b")
    assert error.reason is Reason.WRONG_KEY


def test_an_error_says_what_was_received_and_what_was_expected() -> None:
    error = rejected(bytes_of(click(items=[item(quantity=-3)])))
    assert str(error) == (
        "bad-number at $.items[0].quantity: received -3, expected a whole number from 1 to 1000000"
    )
    assert isinstance(error, HeadwaterError)


def test_what_was_received_is_shown_in_at_most_80_characters() -> None:
    error = rejected(bytes_of(click(user_id="u" * 10_000)))
    assert len(error.received) == 80
    assert error.received.startswith("'uuu")
    assert error.received.endswith("…")


def test_an_envelope_of_as_many_events_as_are_allowed_is_judged_event_by_event() -> None:
    result = decode(b'{"events": [' + b"0," * (MAX_EVENTS - 1) + b"0]}", topic=Topic.CLICKS, now_ms=NOW_MS)
    assert [reject.raw for reject in result.rejects] == [b"0"] * MAX_EVENTS


def test_a_record_cannot_forge_the_place_of_its_error_or_swell_what_is_said_of_it() -> None:
    forged = " - at `$.price` - at `" * 40_000
    with pytest.raises(BadEvent) as caught:
        decode_item(bytes_of(item(item_name="A", availability=forged)), now_ms=NOW_MS)
    assert caught.value.path == "$.availability"
    wide = BadEvent(Reason.BAD_VALUE, received="x" * 10_000, expected="y" * 10_000, path="z" * 10_000)
    assert (len(wide.received), len(wide.expected), len(wide.path)) == (
        80,
        MAX_EXPECTED_CHARS,
        MAX_PATH_CHARS,
    )
    assert len(str(wide)) < 700


CATALOGUE: list[tuple[Reason, str, bytes | None, bytes | None]] = [
    (Reason.EMPTY, "$", None, None),
    (Reason.EMPTY, "$", b"", b"a"),
    (Reason.NOT_UTF8, "key", None, b"\xff"),
    (Reason.BAD_ID, "key", None, b"a\nb"),
    (Reason.TOO_LARGE, "$", b" " * (MAX_RECORD_BYTES + 1), b"a"),
    (Reason.NOT_JSON, "$", b"{", b"a"),
    (Reason.WRONG_TOPIC, "$.event", bytes_of(click()), None),
    (Reason.WRONG_KEY, "$.item_id", b'{"item_id": "a", "item_name": "A"}', b"b"),
    (Reason.MISSING_FIELD, "$.item_name", b'{"item_id": "a"}', b"a"),
    (Reason.BAD_ID, "$.item_id", rb'{"item_id": "\u0001", "item_name": "A"}', None),
    (Reason.BAD_VALUE, "$.availability", b'{"item_id": "a", "item_name": "A", "availability": "soon"}', None),
    (Reason.BAD_VALUE, "$.image_vector", b'{"item_id": "a", "item_name": "A", "image_vector": []}', None),
    (
        Reason.BAD_NUMBER,
        "$.image_vector[1]",
        b'{"item_id": "a", "item_name": "A", "image_vector": [1, 1e9]}',
        None,
    ),
    (Reason.BAD_NUMBER, "$.price", b'{"item_id": "a", "item_name": "A", "price": -1}', None),
    (
        Reason.TIME_OUT_OF_RANGE,
        "$.occurred_at",
        b'{"item_id": "a", "item_name": "A", "occurred_at": 1}',
        None,
    ),
    (
        Reason.TIME_OUT_OF_RANGE,
        "$.occurred_at",
        b'{"item_id": "a", "item_name": "A", "occurred_at": 1900000000000}',
        None,
    ),
]


@pytest.mark.parametrize(("reason", "path", "raw", "key"), CATALOGUE)
def test_a_bad_catalogue_record_is_refused(
    reason: Reason, path: str, raw: bytes | None, key: bytes | None
) -> None:
    with pytest.raises(BadEvent) as caught:
        decode_item(raw, now_ms=NOW_MS, key=key)
    assert (caught.value.reason, caught.value.path) == (reason, path)


def test_every_reason_is_reached_by_a_record_above() -> None:
    tabled = {row[0] for row in (*WHOLE_RECORDS, *SINGLE_EVENTS, *CATALOGUE)}
    assert tabled == set(Reason)
