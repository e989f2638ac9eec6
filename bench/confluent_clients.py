"""A replay's two clients on librdkafka: on two cores kafka-python takes from the system what it measures.

`headwater replay` stays on kafka-python; the figures of `headwater bench freshness` are made with these.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from threading import Event, Thread
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Producer, TopicPartition

from events.codec import encode
from events.errors import BadEvent
from events.recommendation import Recommendation, decode_recommendation
from events.topics import Topic
from events.types import AnyUserEvent
from load.books import Books, Ticket
from load.errors import BrokerTrouble
from load.sender import topic_of

_POLL_S = 0.05
_READY_S = 30.0
_AT_ONCE = 500


class ConfluentSender:
    """Sends single events; delivery reports go to `books` from a thread of its own. `close` when done."""

    def __init__(
        self, config: Mapping[str, Any], *, topic_prefix: str, books: Books, linger_ms: float = 1.0
    ) -> None:
        self._prefix = topic_prefix
        self._books = books
        self._names = {topic.value: f"{topic_prefix}{topic.value}" for topic in Topic}
        own = {"acks": "all", "linger.ms": linger_ms, "partitioner": "murmur2_random"}
        self._producer = Producer({**own, **config})
        self._stop = Event()
        self._thread = Thread(target=self._collect, name="delivery-reports", daemon=True)
        self._thread.start()

    def send(self, event: AnyUserEvent, *, ticket: Ticket) -> None:
        """Hand one event to the client; its report comes later."""

        def delivered(error: Any, message: Any) -> None:
            if error is not None:
                self._books.undelivered([ticket])
            else:
                topic = message.topic().removeprefix(self._prefix)
                self._books.delivered([ticket], f"{topic}-{message.partition()}", message.offset())

        self._producer.produce(
            self._names[topic_of(event).value],
            value=encode(event),
            key=event.user_id.encode(),
            on_delivery=delivered,
        )

    def flush(self, *, timeout_s: float = 30.0) -> None:
        """Wait for every delivery report. BrokerTrouble after `timeout_s`."""
        if left := self._producer.flush(timeout_s):
            raise BrokerTrouble(f"Kafka has not confirmed {left} records in {timeout_s:g} s")

    def close(self) -> None:
        """Give up what is not yet delivered."""
        self._stop.set()
        self._thread.join()

    def _collect(self) -> None:
        while not self._stop.is_set():
            self._producer.poll(_POLL_S)


class ConfluentAnswers:
    """A thread that reads every partition of `recommendations` from now on.

    `heard(recommendation, arrived_ns)` is called in it, and `before()` after each poll and before them;
    `arrived_ns` is time.monotonic_ns() as the poll returned.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        *,
        topic: str,
        partitions: int,
        heard: Callable[[Recommendation, int], None],
        before: Callable[[], None] = lambda: None,
        unreadable: Callable[[], None] = lambda: None,
        fetch_wait_ms: int = 20,
    ) -> None:
        self._topic = topic
        self._heard, self._before, self._unreadable = heard, before, unreadable
        self._places = range(partitions)
        self._stop = Event()
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, name="answers", daemon=True)
        self._consumer = Consumer(
            {
                "group.id": "headwater-bench",  # librdkafka wants one; assign() never joins it
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "fetch.wait.max.ms": fetch_wait_ms,
                "fetch.error.backoff.ms": 20,
                **config,
            }
        )

    def start(self) -> None:
        """Return once every record published from now on will be read; BrokerTrouble after a while.

        It reads to the ends first, as fetches report them: ListOffsets is wrong on some brokers.
        """
        self._consumer.assign(
            [TopicPartition(self._topic, number, OFFSET_BEGINNING) for number in self._places]
        )
        unread = set(self._places)
        deadline = time.monotonic() + _READY_S
        while unread:
            for message in self._consumer.consume(_AT_ONCE, timeout=_POLL_S):
                error = message.error()
                if error is not None and error.code() == KafkaError._PARTITION_EOF:
                    unread.discard(message.partition())
            if time.monotonic() > deadline:
                raise BrokerTrouble(f"the end of {self._topic} was not reached in {_READY_S:g} s")
        self._thread.start()

    def check(self) -> None:
        """Raise BrokerTrouble where the thread has died."""
        if self._error is not None:
            raise BrokerTrouble(f"reading {self._topic} stopped: {self._error}") from self._error

    def close(self) -> None:
        """End the thread after its current poll and close the consumer."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._consumer.close()

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                first = self._consumer.poll(_POLL_S)
                if first is not None:
                    more = self._consumer.consume(_AT_ONCE, timeout=0)
                    self._take([first, *more], time.monotonic_ns())
        except Exception as error:  # carried to the thread that asks, see check()
            self._error = error

    def _take(self, messages: Sequence[Any], arrived_ns: int) -> None:
        self._before()
        for message in messages:
            if message.error() is not None:
                continue
            try:
                recommendation = decode_recommendation(message.value() or b"")
            except BadEvent:
                self._unreadable()
            else:
                self._heard(recommendation, arrived_ns)
