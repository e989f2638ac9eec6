"""Reads whole topics as the broker has them: no group, no Headwater code but the names of topics.

Where a partition ends is a fetch's high-water mark: ListOffsets LATEST is wrong on the embedded broker.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from load.chaos.findings import Place
from load.errors import BrokerTrouble

_POLL_MS = 100


class RawRecord(NamedTuple):
    """One record; `topic` is without the deployment's prefix."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()

    @property
    def place(self) -> Place:
        return Place(self.topic, self.partition, self.offset)


def read_raw(
    bootstrap: str,
    *,
    kafka: Mapping[str, Any],
    topics: Sequence[str],
    prefix: str = "",
    timeout_s: float = 120.0,
) -> list[RawRecord]:
    """Every record of `topics` (names without `prefix`), by topic, partition and offset.

    It ends where each partition ended as it was first fetched. BrokerTrouble when a topic is missing or the
    ends are not reached in time.
    """
    options = {**kafka, "bootstrap_servers": bootstrap.split(",")}
    try:
        consumer = KafkaConsumer(
            **options,
            enable_auto_commit=False,
            allow_auto_create_topics=False,
            max_poll_records=5_000,
            fetch_max_wait_ms=_POLL_MS,
            metrics_enabled=False,
        )
    except KafkaError as error:
        raise BrokerTrouble(f"no Kafka at {bootstrap}: {error}; is it running and reachable?") from error
    try:
        present = consumer.topics()
        wanted = [f"{prefix}{topic}" for topic in topics]
        if missing := sorted(set(wanted) - set(present)):
            raise BrokerTrouble(f"no topics {', '.join(missing)}: run `headwater topics ensure`")
        parts = [TopicPartition(t, n) for t in wanted for n in sorted(consumer.partitions_for_topic(t) or ())]
        consumer.assign(parts)
        consumer.seek_to_beginning()
        found = _to_end(consumer, parts=parts, timeout_s=timeout_s)
    finally:
        consumer.close()
    return sorted(
        RawRecord(
            record.topic.removeprefix(prefix),
            record.partition,
            record.offset,
            record.timestamp,
            record.key,
            record.value,
            tuple(record.headers),
        )
        for record in found
    )


def _to_end(consumer: Any, *, parts: Sequence[Any], timeout_s: float) -> list[Any]:
    ends: dict[Any, int] = {}
    found: list[Any] = []
    deadline = time.monotonic() + timeout_s
    while True:
        for batch in consumer.poll(_POLL_MS).values():
            found.extend(batch)
        for part in parts:
            if part not in ends and (end := consumer.highwater(part)) is not None:
                ends[part] = end
        if len(ends) == len(parts) and all(consumer.position(part) >= ends[part] for part in parts):
            return [one for one in found if one.offset < ends[TopicPartition(one.topic, one.partition)]]
        if time.monotonic() > deadline:
            raise BrokerTrouble(f"{len(parts)} partitions were not read to their ends in {timeout_s:g} s")
