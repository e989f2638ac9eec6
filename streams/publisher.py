"""Sends records through librdkafka and tells the event loop when the broker has them.

Faust's own `topic.send` saturates below a thousand records a second in a working agent; librdkafka's producer
does a hundred times that from its own threads.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol, Self

from confluent_kafka import KafkaError, KafkaException, Producer

from streams.errors import PublishError
from streams.topics import LETTER_MAX_BYTES


class Record(NamedTuple):
    """One record to send; `partition` None leaves the choice to Kafka's default partitioner (murmur2)."""

    topic: str
    key: bytes | None
    value: bytes | None
    partition: int | None = None
    headers: tuple[tuple[str, bytes | None], ...] = ()


class Sender(Protocol):
    """Whoever sends records to Kafka."""

    async def send(self, records: Sequence[Record], /) -> None:
        """Return when every record is acknowledged by the broker; PublishError if any of them was not."""


class Publisher:
    """An acks=all producer with one thread that collects delivery reports.

    `send` from one event loop at a time. Records of one key keep their order.
    """

    def __init__(
        self,
        config: dict[str, Any],
        *,
        linger_ms: float = 1.0,
        shorter: Callable[[Record], Record | None] = lambda _record: None,
    ) -> None:
        """`shorter`: what to send in place of a record with headers that is too large; None: it is an error."""
        self._shorter = shorter
        self._producer = Producer(
            {
                "acks": "all",
                "linger.ms": linger_ms,
                "partitioner": "murmur2_random",
                "message.max.bytes": LETTER_MAX_BYTES,
                "queue.buffering.max.messages": 200_000,
                **config,
            }
        )
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._collect, name="delivery-reports", daemon=True)
        self._thread.start()

    async def send(self, records: Sequence[Record]) -> None:
        """Return when every record is acknowledged by the broker; PublishError if any of them was not."""
        if not records:
            return
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        report = _Reports(len(records), loop=loop, done=done, shorter=self._shorter)
        for record in records:
            while True:
                try:
                    self._produce(record, report)
                    break
                except BufferError:  # the local queue is full: let the broker drain it
                    await asyncio.sleep(0.005)
                except KafkaException as error:  # refused at once, e.g. larger than message.max.bytes
                    report.deliver(error.args[0], None, record=record)
                    break
        await done
        await self.send(report.instead)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self, *, timeout_s: float = 5.0) -> int:
        """Wait for what is in flight; return how many records were still unsent at the timeout."""
        left = int(self._producer.flush(timeout_s))
        self._stopping.set()
        self._thread.join(timeout_s)
        return left

    def _produce(self, record: Record, report: "_Reports") -> None:
        where: dict[str, Any] = {} if record.partition is None else {"partition": record.partition}
        self._producer.produce(
            record.topic,
            value=record.value,
            key=record.key,
            headers=list(record.headers),
            on_delivery=partial(report.deliver, record=record) if record.headers else report.deliver,
            **where,
        )

    def _collect(self) -> None:
        while not self._stopping.is_set():
            self._producer.poll(0.1)


class _Reports:
    """Counts the delivery reports of one `send` and wakes it after the last."""

    def __init__(
        self,
        expected: int,
        *,
        loop: asyncio.AbstractEventLoop,
        done: "asyncio.Future[None]",
        shorter: Callable[[Record], Record | None],
    ) -> None:
        self.instead: list[Record] = []  # to send in place of what was too large
        self._shorter = shorter
        self._left = expected
        self._loop = loop
        self._done = done
        self._error: Any = None
        self._lock = threading.Lock()

    def deliver(self, error: Any, message: Any, *, record: Record | None = None) -> None:
        instead = None
        if error is not None and record is not None and error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
            instead = self._shorter(record)
        with self._lock:
            if instead is not None:
                self.instead.append(instead)
            elif error is not None and self._error is None:
                self._error = (error, message.topic() if message is not None else "")
            self._left -= 1
            last = self._left == 0
        if last:
            self._loop.call_soon_threadsafe(self._finish)

    def _finish(self) -> None:
        if self._done.done():
            return
        if self._error is None:
            self._done.set_result(None)
        else:
            error, topic = self._error
            self._done.set_exception(PublishError(topic=topic, cause=str(error)))
