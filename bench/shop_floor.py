"""A recommender with a past: catalogue, history and a trained model are in its topics before it is timed."""

import time
from collections.abc import Iterable
from dataclasses import dataclass

from bench.errors import BenchError
from bench.filling import fill
from bench.offline import Offline, item_vectors
from bench.scrape import parse, total
from bench.shop import catalogue, moved, moved_items, stream, until
from bench.telling import Tell
from events.clock import SystemClock
from events.codec import encode
from events.topics import Topic
from events.types import AnyUserEvent, CatalogueItem
from load.sender import topic_of
from streams.publisher import Record
from streams.settings import Settings
from streams.system import System
from streams.topics import ensure, topic_name

_HOUR_MS = 3_600_000
_CAUGHT_UP_S = 120.0
_POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Past:
    """What a shop knows when the benchmark begins; its last event is an hour old."""

    events: list[AnyUserEvent]
    items: list[CatalogueItem]
    vectors: list[Record]  # on the topic that the settings name
    adapter: Record | None
    deep_pays: bool


def make_past(*, events: int, settings: Settings, train: bool, deep_pays: bool | None, tell: Tell) -> Past:
    """The first `events` of the shipped stream and their catalogue and, with `train`, a model that learnt them.

    `deep_pays` None leaves the verdict on the transformer to the learner.
    """
    shipped = list(stream(events))
    last_ms = max(event.occurred_at for event in shipped)
    to_ms = SystemClock().now_ms() - _HOUR_MS
    items = moved_items(until(catalogue(), last_ms=last_ms), shift_ms=to_ms - last_ms)
    past = moved(shipped, last_ms=to_ms)
    tell(f"encoding {len(items):,} titles")
    topic = topic_name(Topic.ITEM_VECTORS, kafka=settings.kafka)
    vectors = item_vectors(items, settings=settings, topic=topic)
    if not train:
        return Past(past, items, vectors, None, False)
    offline = Offline(settings)
    offline.run(past, items=items, vectors=vectors, tell=tell)
    pays = offline.learner.prequential.gate.pays() if deep_pays is None else deep_pays
    adapter = offline.adapter(topic=topic_name(Topic.ADAPTERS, kafka=settings.kafka), deep_pays=pays)
    return Past(past, items, vectors, adapter, pays)


def publish_past(past: Past, *, settings: Settings, tell: Tell) -> None:
    """Create the topics and put the past into them."""
    ensure(settings.kafka)
    tell(f"publishing {len(past.vectors):,} item vectors and {len(past.events):,} events")
    model = [] if past.adapter is None else [past.adapter]
    fill(settings.kafka.confluent(), [*past.vectors, *model, *event_records(past.events, settings=settings)])


def event_records(events: Iterable[AnyUserEvent], *, settings: Settings) -> Iterable[Record]:
    """Each event as a record of its own, keyed by its shopper."""
    names = {topic: topic_name(topic, kafka=settings.kafka) for topic in Topic}
    return (Record(names[topic_of(event)], event.user_id.encode(), encode(event)) for event in events)


def wait_caught_up(system: System, name: str, *, events: int, timeout_s: float = _CAUGHT_UP_S) -> None:
    """Return once the worker has folded and learnt `events` events and nobody waits for a slate any more.

    BenchError, with the worker's log, when that takes too long.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        readings = parse(system.metrics(name))
        folded = total(readings, "headwater_events_total") + total(readings, "headwater_duplicates_total")
        learnt = readings.get("headwater_source_events_total", 0.0)
        waiting = readings.get("headwater_pending_partitions", 0.0)
        if folded >= events and learnt >= events and waiting == 0:
            return
        if time.monotonic() > deadline:
            raise BenchError(
                f"{name} has folded {folded:,.0f} and learnt {learnt:,.0f} of {events:,} events after "
                f"{timeout_s:g} s, {waiting:.0f} partitions wait\n{system.log_tail(name)}"
            )
        time.sleep(_POLL_S)
