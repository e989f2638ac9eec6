"""Reads whole topics, every partition, without a consumer group: how a worker follows what all must know."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

from streams.errors import ReadError
from streams.logs import get_logger

log = get_logger("log-reader")
_TELL_EVERY_S = 10.0


class LogRecord(NamedTuple):
    """One record as the broker has it."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()


def groupless(config: Mapping[str, Any], **own: Any) -> dict[str, Any]:
    """The options of a librdkafka consumer that is assigned its partitions, joins no group and hears where they end."""
    return {
        "group.id": "headwater-unused",  # librdkafka wants one; assign() never joins it
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        **own,
        **config,
    }


def log_record(message: Any) -> LogRecord:
    """The record that a confluent_kafka message without an error is."""
    return LogRecord(
        message.topic(),
        message.partition(),
        message.offset(),
        message.timestamp()[1],
        message.key(),
        message.value(),
        tuple(message.headers() or ()),
    )


class LogReader:
    """Calls `handle` with the records of `topics`, in order within a partition, on a thread of its own.

    It starts at `start` (next offsets; the beginning where absent). `caught_up` is set once every partition
    has been read to the end that the fetches reported (never ListOffsets, which the embedded broker answers
    wrongly). `idle` is called on the same thread whenever nothing has come for a moment. When `handle` or
    `idle` raises, or the broker reports a fatal error, `failed` is called with the error and reading ends.
    """

    def __init__(
        self,
        config: dict[str, Any],
        *,
        partitions: Mapping[str, int],
        handle: Callable[[Sequence[LogRecord]], None],
        failed: Callable[[BaseException], None],
        idle: Callable[[], None] = lambda: None,
        start: Mapping[tuple[str, int], int] | None = None,
        batch_max: int = 1000,
        fetch_wait_ms: int = 50,
        fetch_min_bytes: int = 1,
        name: str = "log-reader",
    ) -> None:
        own = {
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": fetch_wait_ms,
            "fetch.min.bytes": fetch_min_bytes,
            "fetch.error.backoff.ms": 100,
            "queued.max.messages.kbytes": 32_768,
        }
        self._config = groupless(config, **own)
        self._handle = handle
        self._failed = failed
        self._idle = idle
        self._batch_max = batch_max
        begin = start or {}
        self._positions = {
            (topic, partition): begin.get((topic, partition), 0)
            for topic, count in partitions.items()
            for partition in range(count)
        }
        self._begin = dict(begin)
        self._unread = set(self._positions)
        self.caught_up = threading.Event()
        self._taken = 0  # records, so far
        self._lock = threading.Lock()
        self._awaited = False  # somebody is in start_and_catch_up
        self._error: BaseException | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def start_and_catch_up(self) -> None:
        """Start, and return once it has caught up. What goes wrong until then is raised here, `failed` not called."""
        self._awaited = True
        self._thread.start()
        told = time.monotonic()
        while not self.caught_up.wait(0.1) and self._thread.is_alive():
            if time.monotonic() - told >= _TELL_EVERY_S:
                told = time.monotonic()
                log.info("reading the log before serving: %s records so far", f"{self._taken:,}")
        with self._lock:
            self._awaited = False
            if self._error is not None:
                raise self._error

    def stop(self, *, timeout_s: float = 5.0) -> None:
        self._stopping.set()
        self._thread.join(timeout_s)

    def positions(self) -> dict[tuple[str, int], int]:
        """The next offset to read of each partition: what has been handled is below it."""
        return dict(self._positions)

    def _run(self) -> None:
        try:
            consumer = Consumer(self._config)
            try:
                consumer.assign(
                    [
                        TopicPartition(
                            topic, partition, self._begin.get((topic, partition), OFFSET_BEGINNING)
                        )
                        for topic, partition in self._positions
                    ]
                )
                while not self._stopping.is_set():
                    messages = consumer.consume(num_messages=self._batch_max, timeout=0.02)
                    self._take(messages)
                    if not messages:
                        self._idle()
            finally:
                consumer.close()
        except BaseException as error:
            with self._lock:
                self._error, awaited = error, self._awaited
            if not awaited:
                self._failed(error)

    def _take(self, messages: Sequence[Any]) -> None:
        records = []
        ends = []
        for message in messages:
            error = message.error()
            if error is None:
                records.append(log_record(message))
            elif error.code() == KafkaError._PARTITION_EOF:
                ends.append((message.topic(), message.partition()))
            elif error.fatal() or error.code() in (
                KafkaError.UNKNOWN_TOPIC_OR_PART,
                KafkaError._UNKNOWN_TOPIC,
            ):
                raise ReadError(topic=message.topic() or "?", cause=str(error))
        if records:
            self._handle(records)
            self._taken += len(records)
            for record in records:
                self._positions[record.topic, record.partition] = record.offset + 1
        if ends and not self.caught_up.is_set():
            self._unread.difference_update(ends)
            if not self._unread:
                self.caught_up.set()
