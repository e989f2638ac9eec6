"""Several topics' partition as one log: in the order of time, from where it is told, to the end and on."""

import pytest

from events.topics import Topic
from streams import topics
from streams.log_reader import LogRecord
from streams.partition_log import PartitionLog
from streams.settings import KafkaSettings, Settings
from streams.topics import topic_name
from tests.storefront import Storefront, purchase, view
from tests.streams.deadlines import wait_for


@pytest.fixture
def shop(kafka: KafkaSettings) -> Storefront:
    topics.ensure(kafka)
    return Storefront(Settings(kafka=kafka))


def read(log: PartitionLog, *, count: int, limit: int = 7) -> list[LogRecord]:
    records: list[LogRecord] = []

    def all_there() -> bool:
        records.extend(log.take(limit))
        return len(records) >= count

    wait_for(all_there, what=f"{count} records")
    return records


def test_topics_are_merged_by_time_from_their_starts_and_followed(shop: Storefront) -> None:
    for number in range(40):  # one by one: each later than the one before
        shop.send([view("ann", "i", number=number)] if number % 4 else [purchase("ann", "i", number=number)])
    [partition] = {record.partition for record in shop.log(Topic.CLICKS, Topic.PURCHASES)}
    clicks, purchases = (topic_name(topic, kafka=shop.kafka) for topic in (Topic.CLICKS, Topic.PURCHASES))
    carts = topic_name(Topic.CARTS, kafka=shop.kafka)
    log = PartitionLog(shop.kafka.confluent(), partition=partition, start={clicks: 5, purchases: 0, carts: 0})
    try:
        records = read(log, count=35)
        later = read_later(shop, log)
        assert log.take(10) == []
        assert log.reached() == {clicks: 31, purchases: 10, carts: 0}
        assert log.left() == 0
    finally:
        log.close()
    assert [r.offset for r in records if r.topic == purchases] == list(range(10))
    assert [r.offset for r in records if r.topic == clicks] == list(range(5, 30))
    assert [r.timestamp_ms for r in records] == sorted(r.timestamp_ms for r in records)
    assert [r[:3] for r in later] == [(clicks, partition, 30)]


def read_later(shop: Storefront, log: PartitionLog) -> list[LogRecord]:
    shop.send([view("ann", "i", number=100)])
    return read(log, count=1)
