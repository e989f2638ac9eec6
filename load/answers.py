"""Reads the recommendations topic from now on, and says at once when each record arrived."""

import time
from collections.abc import Callable, Mapping
from threading import Event, Thread
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from events.errors import BadEvent
from events.recommendation import Recommendation, decode_recommendation
from events.topics import Topic
from load.errors import BrokerTrouble

_POLL_MS = 50
_READY_S = 30.0


class AnswerReader:
    """A thread that owns a group-less consumer of every partition of `recommendations` and `dead-letters`.

    `on_recommendation(recommendation, arrived_ns)`, `on_unreadable()` and `on_dead_letter()` are called in
    this thread, in the order of each partition, and `before_answers()` after each poll and before them.
    `arrived_ns` is time.monotonic_ns() as the poll returned, before anything is decoded.
    """

    def __init__(
        self,
        bootstrap: str,
        *,
        kafka: Mapping[str, Any],
        topic_prefix: str = "",
        fetch_wait_ms: int = 20,
        on_recommendation: Callable[[Recommendation, int], None],
        on_unreadable: Callable[[], None] = lambda: None,
        on_dead_letter: Callable[[], None] = lambda: None,
        before_answers: Callable[[], None] = lambda: None,
    ) -> None:
        self._recommendations = f"{topic_prefix}{Topic.RECOMMENDATIONS.value}"
        self._dead_letters = f"{topic_prefix}{Topic.DEAD_LETTERS.value}"
        self._on_recommendation = on_recommendation
        self._on_unreadable = on_unreadable
        self._on_dead_letter = on_dead_letter
        self._before_answers = before_answers
        self._reads_dead_letters = False
        self._stop = Event()
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, name="answers", daemon=True)
        options = {**kafka, "bootstrap_servers": bootstrap.split(",")}
        try:
            self._consumer = KafkaConsumer(
                **options,
                enable_auto_commit=False,
                allow_auto_create_topics=False,
                fetch_max_wait_ms=fetch_wait_ms,
                max_poll_records=5_000,
                metrics_enabled=False,
            )
        except KafkaError as error:
            raise BrokerTrouble(f"no Kafka at {bootstrap}: {error}; is it running and reachable?") from error

    @property
    def reads_dead_letters(self) -> bool:
        """Whether there is such a topic."""
        return self._reads_dead_letters

    def start(self) -> None:
        """Returns once every record produced from now on will be read; BrokerTrouble if a topic is missing.

        The end of a partition is a fetch's high-water mark, for ListOffsets is wrong on some brokers.
        """
        try:
            partitions = self._partitions()
            self._consumer.assign(partitions)
            self._consumer.seek_to_beginning()
            deadline = time.monotonic() + _READY_S
            while any(self._consumer.highwater(partition) is None for partition in partitions):
                if time.monotonic() > deadline:
                    raise BrokerTrouble(
                        f"no answer to a fetch of {self._recommendations} in {_READY_S:.0f} s"
                    )
                self._consumer.poll(_POLL_MS)
            for partition in partitions:
                self._consumer.seek(partition, self._consumer.highwater(partition))
        except (KafkaError, BrokerTrouble) as error:
            self._consumer.close()
            if isinstance(error, BrokerTrouble):
                raise
            raise BrokerTrouble(f"cannot read {self._recommendations}: {error}") from error
        self._thread.start()

    def check(self) -> None:
        """Raises BrokerTrouble where the thread has died."""
        if self._error is not None:
            raise BrokerTrouble(f"reading {self._recommendations} stopped: {self._error}") from self._error

    def close(self) -> None:
        """Ends the thread after its current poll and closes the consumer."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._consumer.close()

    def _partitions(self) -> list[TopicPartition]:
        present = self._consumer.topics()
        if self._recommendations not in present:
            raise BrokerTrouble(f"there is no topic {self._recommendations}: run `headwater topics ensure`")
        self._reads_dead_letters = self._dead_letters in present
        wanted = [self._recommendations] + [self._dead_letters] * self._reads_dead_letters
        return [
            TopicPartition(topic, number)
            for topic in wanted
            for number in sorted(self._consumer.partitions_for_topic(topic) or ())
        ]

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                records = self._consumer.poll(_POLL_MS)
                arrived_ns = time.monotonic_ns()
                self._before_answers()
                for partition, batch in records.items():
                    if partition.topic == self._dead_letters:
                        for _ in batch:
                            self._on_dead_letter()
                    else:
                        for record in batch:
                            self._answer(record.value, arrived_ns)
        except Exception as error:  # carried to the thread that asks, see check()
            self._error = error

    def _answer(self, value: bytes | None, arrived_ns: int) -> None:
        try:
            recommendation = decode_recommendation(value or b"")
        except BadEvent:
            self._on_unreadable()
            return
        self._on_recommendation(recommendation, arrived_ns)
