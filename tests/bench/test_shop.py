"""The shop that every benchmark takes place in."""

from itertools import islice

import pytest

from bench.errors import BenchError
from bench.ingest import envelopes
from bench.shop import Clicks, catalogue, moved, stream, until
from events.codec import decode, encode
from events.ids import partition_of
from events.topics import Topic
from streams.settings import Settings

NOW_MS = 1_750_000_000_000


def test_every_click_is_of_a_shopper_of_its_own() -> None:
    clicks = list(islice(Clicks(list(stream(20)), start_ms=NOW_MS), 500))
    assert len({click.user_id for click in clicks}) == 500
    assert len({click.event_id for click in clicks}) == 500


def test_clicks_take_turns_among_the_shoppers_asked_for() -> None:
    clicks = list(islice(Clicks(list(stream(20)), shoppers=7, start_ms=NOW_MS), 500))
    assert len({click.user_id for click in clicks}) == 7


def test_items_are_clicked_as_often_as_they_were_bought() -> None:
    history = list(stream(50))
    bought = {item.item_id for event in history for item in event.items}
    clicks = list(islice(Clicks(history, start_ms=NOW_MS), 500))
    assert {item.item_id for click in clicks for item in click.items} <= bought
    again = list(islice(Clicks(history, start_ms=NOW_MS), 500))
    assert [encode(click) for click in again] == [encode(click) for click in clicks]


def test_clicks_without_a_history_are_refused() -> None:
    with pytest.raises(BenchError, match="no history"):
        Clicks([], start_ms=NOW_MS)


def test_moved_events_end_where_asked_and_keep_their_distances() -> None:
    events = list(stream(30))
    later = moved(events, last_ms=NOW_MS)
    assert max(event.occurred_at for event in later) == NOW_MS
    shifts = {new.occurred_at - old.occurred_at for new, old in zip(later, events, strict=True)}
    assert len(shifts) == 1


def test_until_leaves_out_items_that_had_not_appeared() -> None:
    items = catalogue()
    first_ms = items[0].occurred_at or 0
    assert 0 < len(until(items, last_ms=first_ms)) < len(items)


def test_an_envelope_holds_events_of_one_partition_and_none_is_left_out() -> None:
    settings = Settings().updated(kafka={"partitions": 4})
    clicks = list(islice(Clicks(list(stream(20)), shoppers=50, start_ms=NOW_MS), 333))
    unpacked = []
    for record in envelopes(clicks, size=10, settings=settings):
        decoded = decode(record.value, topic=Topic.CLICKS, now_ms=NOW_MS + 1_000, key=record.key)
        assert not decoded.rejects
        assert len(decoded.events) <= 10
        assert {partition_of(event.user_id.encode(), partitions=4) for event in decoded.events} == {
            record.partition
        }
        unpacked += [event.event_id for event in decoded.events]
    assert sorted(unpacked) == sorted(click.event_id for click in clicks)
