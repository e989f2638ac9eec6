import threading
from collections.abc import Sequence

import pytest

from events.topics import Topic
from streams import topics
from streams.log_reader import LogReader, LogRecord
from streams.settings import KafkaSettings, Settings
from tests.storefront import Storefront, view
from tests.streams.deadlines import wait_for


@pytest.fixture
def shop(kafka: KafkaSettings) -> Storefront:
    topics.ensure(kafka)
    return Storefront(Settings(kafka=kafka))


class Reading:
    """A reader of `clicks` and what it has brought."""

    def __init__(
        self, shop: Storefront, *, start: dict[tuple[str, int], int] | None = None, fail_at: int = -1
    ) -> None:
        self.records: list[LogRecord] = []
        self.errors: list[BaseException] = []
        self.idle = threading.Event()
        self._fail_at = fail_at
        name = topics.topic_name(Topic.CLICKS, kafka=shop.kafka)
        self.reader = LogReader(
            shop.kafka.confluent(),
            partitions={name: shop.kafka.partitions},
            handle=self._handle,
            failed=self.errors.append,
            idle=self.idle.set,
            start=start,
        )

    def _handle(self, records: Sequence[LogRecord]) -> None:
        self.records += records
        if 0 <= self._fail_at < len(self.records):
            raise RuntimeError("cannot take it")

    def __enter__(self) -> "Reading":
        self.reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.reader.stop()


def test_every_partition_is_read_from_its_beginning_in_order_and_then_followed(shop: Storefront) -> None:
    sent = shop.send([view(f"u{n}", "i", number=n) for n in range(40)])
    with Reading(shop) as reading:
        wait_for(reading.reader.caught_up.is_set, what="the end")
        assert {r[:3] for r in reading.records} == {one.place for one in sent}
        sent += shop.send([view(f"u{n}", "i", number=100 + n) for n in range(5)])
        wait_for(lambda: len(reading.records) == 45, what="what came later")
        wait_for(reading.idle.is_set, what="a quiet moment")
        ends = {(r.topic, r.partition): r.offset + 1 for r in sorted(reading.records)}
        wait_for(lambda: ends.items() <= reading.reader.positions().items(), what="positions")
    for partition in range(shop.kafka.partitions):
        offsets = [r.offset for r in reading.records if r.partition == partition]
        assert offsets == list(range(len(offsets)))
    assert all(r.key and r.timestamp_ms > 0 for r in reading.records)
    assert reading.errors == []


def test_empty_topic_is_caught_up(shop: Storefront) -> None:
    with Reading(shop) as reading:
        wait_for(reading.reader.caught_up.is_set, what="the end of nothing")
        assert reading.records == []


def test_it_starts_at_the_offsets_given(shop: Storefront) -> None:
    sent = shop.send([view("ann", "i", number=n) for n in range(10)])
    place = sent[0].place
    with Reading(shop, start={(place.topic, place.partition): 7}) as reading:
        wait_for(reading.reader.caught_up.is_set, what="the end")
        assert [r.offset for r in reading.records] == [7, 8, 9]


def test_what_its_handler_raises_ends_it_and_is_told(shop: Storefront) -> None:
    shop.send([view("ann", "i", number=n) for n in range(10)])
    with Reading(shop, fail_at=3) as reading:
        wait_for(lambda: bool(reading.errors), what="the error")
    assert [str(error) for error in reading.errors] == ["cannot take it"]
    assert not reading.reader.caught_up.is_set()


def test_who_waits_for_it_goes_on_when_everything_was_read(shop: Storefront) -> None:
    shop.send([view(f"u{n}", "i", number=n) for n in range(40)])
    reading = Reading(shop)
    try:
        reading.reader.start_and_catch_up()
        assert len(reading.records) == 40
        shop.send([view("ann", "i", number=100)])
        wait_for(lambda: len(reading.records) == 41, what="what came later")
    finally:
        reading.reader.stop()


def test_who_waits_for_it_is_told_what_ended_it(shop: Storefront) -> None:
    shop.send([view("ann", "i", number=n) for n in range(10)])
    reading = Reading(shop, fail_at=3)
    with pytest.raises(RuntimeError, match="cannot take it"):
        reading.reader.start_and_catch_up()
    assert reading.errors == []
