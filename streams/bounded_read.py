"""Reads topics from their beginning to where they end now, without a consumer group.

Where a partition ends is taken from the high-water marks in Fetch responses: ListOffsets LATEST is wrong on
the embedded broker.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from streams.errors import BrokerUnreachable, ReadError
from streams.kafka_admin import admin_client, said
from streams.kafka_settings import KafkaSettings

_POLL_MS = 100
_MAX_RECORDS = 5000


def read_to_end(
    kafka: KafkaSettings,
    *,
    topics: Sequence[str],
    timeout_s: float = 30.0,
    start: Mapping[Any, int] | None = None,
) -> Iterator[Any]:
    """kafka-python ConsumerRecords of every partition of `topics`, in order within a partition.

    It ends where each partition ended when its first fetch was answered. start: first offset by
    (topic, partition), the beginning where absent.

    Raises ReadError for a topic that doesn't exist and when the ends aren't reached within `timeout_s`;
    BrokerUnreachable when no broker answers.
    """
    with BoundedReader(kafka, topics=topics, start=start) as reader:
        yield from reader.read(timeout_s=timeout_s)


class BoundedReader:
    """Reads on, each time from where it was to where the topics end then, over one connection."""

    def __init__(
        self, kafka: KafkaSettings, *, topics: Sequence[str], start: Mapping[Any, int] | None = None
    ) -> None:
        self._partitions = [
            TopicPartition(topic, number) for topic, number in _partitions(kafka, topics=topics)
        ]
        begin = start or {}
        self._positions = {
            partition: begin.get((partition.topic, partition.partition)) for partition in self._partitions
        }
        try:
            self._consumer = KafkaConsumer(
                **kafka.kafka_python(),
                group_id=None,
                enable_auto_commit=False,
                max_poll_records=_MAX_RECORDS,
                fetch_max_wait_ms=_POLL_MS,
                enable_incremental_fetch_sessions=False,  # they leave out what has not changed: no high-water mark
            )
        except (KafkaError, OSError) as error:
            raise BrokerUnreachable(
                f"no Kafka broker answers at {kafka.bootstrap_servers}: {said(error)}"
            ) from error

    def read(self, *, timeout_s: float = 30.0) -> Iterator[Any]:
        """Records as in `read_to_end`; it has to be read to its end before the next one is begun."""
        consumer = self._consumer
        consumer.unsubscribe()  # forgets the high-water marks: they are to be those of now
        consumer.assign(self._partitions)
        for partition, position in self._positions.items():
            if position is None:
                consumer.seek_to_beginning(partition)
            else:
                consumer.seek(partition, position)
        for record in _records(consumer, partitions=self._partitions, timeout_s=timeout_s):
            self._positions[TopicPartition(record.topic, record.partition)] = record.offset + 1
            yield record

    def close(self) -> None:
        self._consumer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _records(consumer: Any, *, partitions: Sequence[Any], timeout_s: float) -> Iterator[Any]:
    ends: dict[Any, int] = {}
    left = set(partitions)
    deadline = time.monotonic() + timeout_s
    while left:
        polled = consumer.poll(timeout_ms=_POLL_MS)
        for partition in list(left):
            if partition not in ends and (highwater := consumer.highwater(partition)) is not None:
                ends[partition] = highwater
        for partition, records in polled.items():
            end = ends.get(partition)
            for record in records:
                if end is None or record.offset < end:
                    yield record
        for partition in list(left):
            if partition in ends and consumer.position(partition) >= ends[partition]:
                left.remove(partition)
                consumer.pause(partition)
        if left and time.monotonic() > deadline:
            names = ", ".join(f"{partition.topic}-{partition.partition}" for partition in sorted(left))
            raise ReadError(topic=names, cause=f"the end was not reached within {timeout_s:g} s")


def _partitions(kafka: KafkaSettings, *, topics: Sequence[str]) -> list[tuple[str, int]]:
    with admin_client(kafka) as client:
        found = {topic["name"]: topic for topic in client.describe_topics(list(topics))}
    for topic in topics:
        if topic not in found or found[topic]["error_code"] != 0:
            raise ReadError(topic=topic, cause="there is no such topic; run `headwater topics ensure`")
    return [(topic, part["partition_index"]) for topic in topics for part in found[topic]["partitions"]]
