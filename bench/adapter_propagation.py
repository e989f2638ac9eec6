"""From the learner's adapter on its topic to the first recommendation made with it."""

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from numpy.typing import NDArray

from bench.confluent_clients import ConfluentAnswers, ConfluentSender
from events.recommendation import Recommendation
from events.topics import Topic
from events.types import AnyUserEvent
from load.books import Books, Ticket
from streams.adapter_topic import PIN_KEY, SERVING_HEADER
from streams.settings import Settings
from streams.topics import topic_name

_DRAIN_S = 1.0


class _Serving(msgspec.Struct):
    version: int
    made_at: int  # ms: when the learner had taken the step and packed it


@dataclass(frozen=True, slots=True)
class AdaptersTaken:
    """Milliseconds per adapter version, to the arrival of the first recommendation with it or a later one."""

    published_ms: NDArray[np.float64]  # from the record's timestamp
    made_ms: NDArray[np.float64]  # from the end of the training step
    clicks: int


class Sightings:
    """When each version was made, published, and first seen in a recommendation; all in ms of the wall clock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._published: dict[int, tuple[int, int]] = {}
        self._first_seen: list[tuple[int, float]] = []

    def published(self, version: int, *, made_ms: int, published_ms: int) -> None:
        with self._lock:
            self._published[version] = (made_ms, published_ms)

    def seen(self, version: int, *, at_ms: float) -> None:
        """A recommendation with this version arrived; call it in the order of arrival."""
        with self._lock:
            if not self._first_seen or version > self._first_seen[-1][0]:
                self._first_seen.append((version, at_ms))

    def latencies(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(n,) from publication and (n,) from the step, of versions newer than the first one seen: that one may
        have been in use before anybody looked.

        >>> sightings = Sightings()
        >>> sightings.seen(1, at_ms=0.0)
        >>> sightings.published(2, made_ms=90, published_ms=100)
        >>> sightings.published(3, made_ms=100, published_ms=110)
        >>> sightings.seen(3, at_ms=150.0)
        >>> sightings.latencies()[0]
        array([50., 40.])
        """
        from_published, from_made = [], []
        with self._lock:
            in_use = self._first_seen[0][0] if self._first_seen else 0
            for version, (made_ms, published_ms) in sorted(self._published.items()):
                if version <= in_use:
                    continue
                at_ms = next((at for seen, at in self._first_seen if seen >= version), None)
                if at_ms is not None:
                    from_published.append(at_ms - published_ms)
                    from_made.append(at_ms - made_ms)
        return np.array(from_published), np.array(from_made)


def watch_adapters(
    clicks: Iterable[AnyUserEvent], *, settings: Settings, rate: float, seconds: float
) -> AdaptersTaken:
    """Send `clicks` at `rate` for `seconds`, so that the learner learns and shoppers are answered, and watch.

    At `rate` an adapter waits up to 1 / `rate` seconds for a click that shows it: that is in the figure.
    """
    kafka = settings.kafka
    sightings = Sightings()
    stop = threading.Event()
    watcher = threading.Thread(target=_follow, args=(settings, sightings, stop), name="adapters", daemon=True)
    offset_ms = time.time() * 1e3 - time.monotonic() * 1e3

    def heard(recommendation: Recommendation, arrived_ns: int) -> None:
        sightings.seen(recommendation.model_version, at_ms=arrived_ns / 1e6 + offset_ms)

    answers = ConfluentAnswers(
        kafka.confluent(),
        topic=topic_name(Topic.RECOMMENDATIONS, kafka=kafka),
        partitions=kafka.partitions,
        heard=heard,
    )
    books = Books(topic_prefix=kafka.topic_prefix)
    sender = ConfluentSender(kafka.confluent(), topic_prefix=kafka.topic_prefix, books=books)
    sent = 0
    try:
        answers.start()
        watcher.start()
        started = time.monotonic()
        for event in clicks:
            due = started + sent / rate
            if due > started + seconds:
                break
            time.sleep(max(0.0, due - time.monotonic()))
            sender.send(event, ticket=Ticket(event.user_id, 0, False))
            sent += 1
        sender.flush()
        time.sleep(_DRAIN_S)
        answers.check()
    finally:
        stop.set()
        watcher.join()
        sender.close()
        answers.close()
    published, made = sightings.latencies()
    return AdaptersTaken(published, made, sent)


def _follow(settings: Settings, sightings: Sightings, stop: threading.Event) -> None:
    consumer = Consumer(
        {
            "group.id": "headwater-bench",
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 20,
            **settings.kafka.confluent(),
        }
    )
    consumer.assign([TopicPartition(topic_name(Topic.ADAPTERS, kafka=settings.kafka), 0, OFFSET_BEGINNING)])
    while not stop.is_set():
        message: Any = consumer.poll(0.05)
        if message is None or message.error() is not None or message.key() == PIN_KEY:
            continue
        serving = msgspec.json.decode(dict(message.headers() or ())[SERVING_HEADER], type=_Serving)
        sightings.published(serving.version, made_ms=serving.made_at, published_ms=message.timestamp()[1])
    consumer.close()
