"""Reads topics as they grow and says at once when each record arrived; survives a broker that is away."""

import time
from collections.abc import Callable, Mapping, Sequence
from threading import Event, Thread
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from load.errors import BrokerTrouble

_POLL_MS = 50
_AGAIN_S = 0.2


class Listener:
    """A thread with a group-less consumer of every partition of `topics` (without `prefix`), from the beginning.

    `heard(topic, record, arrived_s)` is called in that thread, in the order of each partition; `arrived_s` is
    time.monotonic(). A consumer that fails is made anew and goes on behind what was heard.
    """

    def __init__(
        self,
        bootstrap: str,
        *,
        kafka: Mapping[str, Any],
        topics: Sequence[str],
        prefix: str,
        heard: Callable[[str, Any, float], None],
    ) -> None:
        self._options = {**kafka, "bootstrap_servers": bootstrap.split(",")}
        self._names = {f"{prefix}{topic}": topic for topic in topics}
        self._heard = heard
        self._next: dict[Any, int] = {}
        self._stop = Event()
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, name="listener", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def check(self) -> None:
        """BrokerTrouble where the thread has died."""
        if self._error is not None:
            raise BrokerTrouble(f"listening stopped: {self._error!r}") from self._error

    def close(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._listen()
            except KafkaError:
                self._stop.wait(_AGAIN_S)
            except BaseException as error:  # carried to the thread that asks, see check()
                self._error = error
                return

    def _listen(self) -> None:
        consumer = KafkaConsumer(
            **self._options,
            enable_auto_commit=False,
            allow_auto_create_topics=False,
            fetch_max_wait_ms=20,
            max_poll_records=5_000,
            metrics_enabled=False,
        )
        try:
            consumer.topics()
            parts = [
                TopicPartition(name, number)
                for name in self._names
                for number in sorted(consumer.partitions_for_topic(name) or ())
            ]
            consumer.assign(parts)
            for part in parts:
                consumer.seek(part, self._next.get(part, 0))
            while not self._stop.is_set():
                batches = consumer.poll(_POLL_MS)
                arrived_s = time.monotonic()
                for part, records in batches.items():
                    for record in records:
                        self._heard(self._names[part.topic], record, arrived_s)
                        self._next[part] = record.offset + 1
        finally:
            consumer.close()
