"""100,000 mutated records raise nothing but the bad-event error, and what gets through keeps the bounds."""

import random
from collections import Counter

import msgspec

from events.codec import Headers, decode, decode_item, encode, encode_envelope
from events.errors import BadEvent, Reason
from events.examples import EVENTS, ITEM, RECOMMENDATION
from events.limits import EARLIEST_MS, MAX_ITEMS, MAX_QUANTITY, MAX_RECORD_BYTES
from events.recommendation import decode_recommendation, encode_recommendation
from events.rules import ids_are_clean
from events.topics import TOPIC_OF, USER_TOPICS, Topic, events_on
from events.types import AnyUserEvent, CatalogueItem, Tombstone
from load.damage import mutated
from tests.events.strategies import DAY_MS, NOW_MS

RECORDS = 100_000


def corpus() -> list[tuple[Topic, bytes]]:
    """Valid records of every topic: single events, envelopes, an item, a recommendation."""
    records = [(TOPIC_OF[name], encode(event)) for name, event in EVENTS.items()]
    for topic in USER_TOPICS:
        events = [EVENTS[name] for name in events_on(topic)] * 3
        records.append((topic, encode_envelope(events)))
        records.append((topic, msgspec.json.format(encode_envelope(events), indent=2)))
    records.append((Topic.ITEMS, encode(ITEM)))
    records.append((Topic.RECOMMENDATIONS, encode_recommendation(RECOMMENDATION)))
    return records


def assert_within_bounds(event: AnyUserEvent, *, topic: Topic) -> None:
    assert event.__struct_config__.tag in events_on(topic)
    assert EARLIEST_MS <= event.occurred_at <= NOW_MS + DAY_MS
    assert ids_are_clean(event)
    for identifier in (event.event_id, event.user_id, *(item.item_id for item in event.items)):
        assert 1 <= len(identifier) <= 256
        identifier.encode()
    assert len(event.items) <= MAX_ITEMS
    assert bool(event.items) is (topic is not Topic.SEARCHES)
    for item in event.items:
        assert 1 <= item.quantity <= MAX_QUANTITY
        assert item.price is None or 0 <= item.price < float("inf")


def assert_told(error: BadEvent) -> None:
    assert isinstance(error.reason, Reason)
    assert 1 <= len(error.received) <= 80
    assert error.expected
    str(error).encode()


def fuzz_user_record(
    raw: bytes, *, topic: Topic, key: bytes | None, headers: Headers
) -> tuple[int, list[str]]:
    """How many events got through, and the reasons of those that did not."""
    result = decode(raw, topic=topic, now_ms=NOW_MS, key=key, headers=headers)
    assert result.events or result.rejects
    for event in result.events:
        assert_within_bounds(event, topic=topic)
    if result.events:
        again = decode(encode_envelope(result.events), topic=topic, now_ms=NOW_MS)
        assert again.events == result.events or len(encode_envelope(result.events)) > MAX_RECORD_BYTES
    for reject in result.rejects:
        assert_told(reject.error)
    return len(result.events), [reject.error.reason for reject in result.rejects]


def test_mutated_records_raise_nothing_but_the_bad_event_error() -> None:
    chance = random.Random(20261122)
    records = corpus()
    others = [raw for _, raw in records]
    keys = [None, None, b"", b"17850", b"someone", b"\xff", b"85123A"]
    headers: list[Headers] = [
        (),
        [("ce_id", b"e"), ("ce_time", b"soon")],
        [("ce_subject", b"\xff")],
        [("ce_id", None)],
    ]
    good = 0
    bad: Counter[str] = Counter()
    for _ in range(RECORDS):
        topic, raw = chance.choice(records)
        raw = mutated(raw, others=others, chance=chance)
        key = chance.choice(keys)
        if topic in USER_TOPICS:
            passed, reasons = fuzz_user_record(raw, topic=topic, key=key, headers=chance.choice(headers))
            good += passed
            bad.update(reasons)
            continue
        try:
            if topic is Topic.ITEMS:
                item = decode_item(chance.choice([raw, raw, raw, None]), now_ms=NOW_MS, key=key)
                assert isinstance(item, CatalogueItem | Tombstone)
                assert 1 <= len(item.item_id) <= 256
            else:
                decode_recommendation(raw)
            good += 1
        except BadEvent as error:
            assert_told(error)
            bad[error.reason] += 1
    assert good > RECORDS // 10
    assert sum(bad.values()) > RECORDS // 2
    assert set(bad) >= set(Reason) - {Reason.TOO_LARGE, Reason.TOO_MANY_ITEMS, Reason.TOO_MANY_EVENTS}
