"""What learning a log costs by itself: the sources' reader in this process, without broker, Redis or agent.

A worker cannot go through a backlog faster than its sources learn it, on one thread, in the log's order. So this
is the ceiling of any transport in front of them.
"""

import time
from collections import defaultdict
from collections.abc import Iterable

from events.clock import SystemClock
from events.topics import USER_TOPICS, Topic
from streams.building import item_index, source_set
from streams.following import Following
from streams.log_reader import LogRecord
from streams.metrics import Metrics
from streams.publisher import Record
from streams.settings import Settings
from streams.topics import topic_name

_READ_AT_ONCE = 1_000  # records, as LogReader takes them


def time_learning_alone(*, settings: Settings, records: Iterable[Record], events: int) -> float:
    """Events a second of decoding `records` and teaching them to new sources."""
    log = _as_read(records)
    index = item_index(settings)
    reader = Following(
        sources=source_set(settings, index=index),
        index=index,
        apply_adapter=_no_adapter,
        topics={topic_name(topic, kafka=settings.kafka): topic for topic in USER_TOPICS},
        encoder_name=settings.learner.encoder,
        out_of_stock=settings.serving.out_of_stock,
        metrics=Metrics(role="recommender"),
        clock=SystemClock(),
    )
    started = time.monotonic()
    for start in range(0, len(log), _READ_AT_ONCE):
        reader.handle(log[start : start + _READ_AT_ONCE])
    return events / (time.monotonic() - started)


def _as_read(records: Iterable[Record]) -> list[LogRecord]:
    now_ms = SystemClock().now_ms()
    ends: dict[int, int] = defaultdict(int)
    log = []
    for record in records:
        partition = record.partition or 0
        log.append(LogRecord(record.topic, partition, ends[partition], now_ms, record.key, record.value))
        ends[partition] += 1
    return log


def _no_adapter(_record: LogRecord) -> int:
    raise TypeError(f"a log of {Topic.CLICKS} holds no adapters")
