"""What an operator does with adapters: look at them, pin one, release it."""

import asyncio

from events.clock import Clock
from events.topics import Topic
from streams.adapter_topic import Adapters, Published, pin_record, read_adapters, release_record
from streams.bounded_read import read_to_end
from streams.kafka_settings import KafkaSettings
from streams.log_reader import LogRecord
from streams.publisher import Publisher, Record
from streams.topics import topic_name

_READ_TIMEOUT_S = 120.0


def adapters_on(kafka: KafkaSettings, *, values: bool = False) -> Adapters:
    """Everything on the topic; with `values` the weights too."""
    topic = topic_name(Topic.ADAPTERS, kafka=kafka)
    records = read_to_end(kafka, topics=[topic], timeout_s=_READ_TIMEOUT_S)
    return read_adapters(
        (
            LogRecord(r.topic, r.partition, r.offset, r.timestamp, r.key, r.value, tuple(r.headers))
            for r in records
        ),
        values=values,
    )


def rollback(kafka: KafkaSettings, *, name: str, reason: str, clock: Clock) -> Published:
    """Publish the pointer to the adapter called `name`, which serves until `release`; AdapterError where the
    topic has none of that name."""
    target = adapters_on(kafka, values=True).named(name)
    topic = topic_name(Topic.ADAPTERS, kafka=kafka)
    _publish(kafka, pin_record(target, topic=topic, reason=reason, at_ms=clock.now_ms()))
    return target


def release(kafka: KafkaSettings) -> Published | None:
    """Take the pointer away, and return the adapter that serves then; None, and nothing done, where none was."""
    found = adapters_on(kafka)
    if found.pinned is None:
        return None
    _publish(kafka, release_record(topic=topic_name(Topic.ADAPTERS, kafka=kafka)))
    return found.published[-1] if found.published else found.pinned


def _publish(kafka: KafkaSettings, record: Record) -> None:
    with Publisher(kafka.confluent()) as publisher:
        asyncio.run(publisher.send([record]))
