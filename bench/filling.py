"""Puts many records into Kafka at once, and says how far each partition then reaches."""

from collections.abc import Iterable, Mapping
from typing import Any

from confluent_kafka import Producer

from bench.errors import BenchError
from streams.publisher import Record

_FLUSH_S = 60.0


def fill(config: Mapping[str, Any], records: Iterable[Record]) -> dict[tuple[str, int], int]:
    """Publish `records` (acks=all, order kept within a partition) and wait for every delivery report.

    Returns the last offset of each (topic, partition) written. BenchError when one was not delivered.
    `config` is a librdkafka client's.
    """
    producer = Producer(
        {
            "acks": "all",
            "linger.ms": 5,
            "partitioner": "murmur2_random",
            "queue.buffering.max.messages": 500_000,
            **config,
        }
    )
    ends: dict[tuple[str, int], int] = {}
    failures: list[str] = []

    def delivered(error: Any, message: Any) -> None:
        if error is not None:
            failures.append(str(error))
            return
        place = (message.topic(), message.partition())
        ends[place] = max(ends.get(place, -1), message.offset())

    for record in records:
        where: dict[str, Any] = {} if record.partition is None else {"partition": record.partition}
        while True:
            try:
                producer.produce(
                    record.topic,
                    value=record.value,
                    key=record.key,
                    headers=list(record.headers),
                    on_delivery=delivered,
                    **where,
                )
                break
            except BufferError:  # the local queue is full: let the broker drain it
                producer.poll(0.05)
        producer.poll(0)
    left = producer.flush(_FLUSH_S)
    if left or failures:
        raise BenchError(
            f"{left} records unsent after {_FLUSH_S:g} s, {len(failures)} refused: {failures[:1]}"
        )
    return ends
