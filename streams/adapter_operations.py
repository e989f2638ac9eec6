"""What an operator does with adapters: look at them, pin one, release it."""

import asyncio
from collections.abc import Iterator

from events.clock import Clock
from events.topics import Topic
from models.errors import AdapterError
from streams.adapter_topic import Adapters, Published, parsed, pin_record, read_adapters, release_record
from streams.bounded_read import read_to_end
from streams.kafka_settings import KafkaSettings
from streams.log_reader import LogRecord
from streams.publisher import Publisher, Record
from streams.topics import topic_name

_READ_TIMEOUT_S = 120.0


def adapters_on(kafka: KafkaSettings) -> Adapters:
    """Everything on the topic, without the weights."""
    return read_adapters(_records(kafka))


def adapter_named(kafka: KafkaSettings, name: str) -> Published:
    """The last publication of `name`, with its weights; AdapterError where the topic has none."""
    target = adapters_on(kafka).named(name)
    for record in _records(kafka, start=target.offset):
        if record.offset == target.offset and (found := parsed(record, values=True)) is not None:
            return found
        break
    raise AdapterError(f"{name} at offset {target.offset} is gone: newer ones took its place on the topic")


def rollback(kafka: KafkaSettings, *, name: str, reason: str, clock: Clock) -> Published:
    """Publish the pointer to the adapter called `name`, which serves until `release`; AdapterError where the
    topic has none of that name."""
    target = adapter_named(kafka, name)
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


def _records(kafka: KafkaSettings, *, start: int | None = None) -> Iterator[LogRecord]:
    topic = topic_name(Topic.ADAPTERS, kafka=kafka)
    begin = None if start is None else {(topic, 0): start}
    for r in read_to_end(kafka, topics=[topic], timeout_s=_READ_TIMEOUT_S, start=begin):
        yield LogRecord(r.topic, r.partition, r.offset, r.timestamp, r.key, r.value, tuple(r.headers))


def _publish(kafka: KafkaSettings, record: Record) -> None:
    with Publisher(kafka.confluent()) as publisher:
        asyncio.run(publisher.send([record]))
