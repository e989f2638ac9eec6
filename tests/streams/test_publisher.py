import asyncio

import pytest

from events.ids import partition_of
from events.topics import Topic
from streams import topics
from streams.bounded_read import read_to_end
from streams.errors import PublishError
from streams.publisher import Publisher, Record
from streams.settings import KafkaSettings
from streams.topics import LETTER_MAX_BYTES


@pytest.fixture
def clicks(kafka: KafkaSettings) -> str:
    topics.ensure(kafka)
    return topics.topic_name(Topic.CLICKS, kafka=kafka)


def test_what_was_sent_is_on_the_broker_when_send_returns(kafka: KafkaSettings, clicks: str) -> None:
    records = [
        Record(clicks, f"u{n % 7}".encode(), b"%d" % n, headers=(("h", b"%d" % n),)) for n in range(500)
    ]

    async def send() -> None:
        with Publisher(kafka.confluent()) as publisher:
            await publisher.send(records)
            found = list(await asyncio.to_thread(lambda: list(read_to_end(kafka, topics=[clicks]))))
            assert len(found) == 500

    asyncio.run(send())
    found = sorted(read_to_end(kafka, topics=[clicks]), key=lambda r: (r.partition, r.offset))
    assert {(r.key, r.value, tuple(r.headers)) for r in found} == {
        (r.key, r.value, r.headers) for r in records
    }
    for key in {r.key for r in records}:
        mine = [int(r.value) for r in found if r.key == key]
        assert mine == sorted(mine)  # records of one key keep their order
        assert {r.partition for r in found if r.key == key} == {
            partition_of(key or b"", partitions=kafka.partitions)
        }


def test_partition_and_tombstone_are_as_given(kafka: KafkaSettings, clicks: str) -> None:
    with Publisher(kafka.confluent()) as publisher:
        asyncio.run(publisher.send([Record(clicks, b"u1", None, partition=3)]))
    [found] = read_to_end(kafka, topics=[clicks])
    assert (found.partition, found.key, found.value) == (3, b"u1", None)


def test_nothing_to_send_is_done_at_once(kafka: KafkaSettings) -> None:
    with Publisher(kafka.confluent()) as publisher:
        asyncio.run(publisher.send([]))


def test_record_that_is_too_large_is_an_error_that_names_it_and_the_rest_arrives(
    kafka: KafkaSettings, clicks: str
) -> None:
    with Publisher(kafka.confluent()) as publisher, pytest.raises(PublishError, match="large"):
        asyncio.run(
            publisher.send(
                [Record(clicks, b"u", b"x" * (LETTER_MAX_BYTES + 1_000)), Record(clicks, b"u", b"fine")]
            )
        )
    assert [r.value for r in read_to_end(kafka, topics=[clicks])] == [b"fine"]
