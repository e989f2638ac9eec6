"""From a catalogue record to an item that can be retrieved, and to one that a shopper is shown."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

import numpy as np
from confluent_kafka import Producer
from numpy.typing import NDArray

from bench.confluent_clients import ConfluentAnswers
from bench.errors import BenchError
from events.clock import SystemClock
from events.codec import encode
from events.ids import ItemId, UserId
from events.recommendation import Recommendation
from events.topics import Topic
from events.types import CatalogueItem, Item, ViewItem
from streams.settings import Settings
from streams.system import System
from streams.topics import topic_name

_WORKER = "recommender-1"
_VISIBLE_S = 30.0
_ANSWER_S = 5.0
_POLL_S = 0.002


@dataclass(frozen=True, slots=True)
class ItemsTaken:
    """Milliseconds from handing a catalogue record to the client until the recommender's index has it, and for
    how many of the last ones a shopper who clicked on an item of the same title was shown it."""

    latencies_ms: NDArray[np.float64]
    shown: int
    asked: int


def probe_items(
    system: System, *, settings: Settings, catalogue: Sequence[CatalogueItem], samples: int, asked: int
) -> ItemsTaken:
    """Send `samples` new items one after the other, each a twin of one of `catalogue` by its text.

    An item counts as retrievable when the recommender's own count of searchable items has risen, which its
    metrics page is asked for without pause; the page's answering time is part of the latency.
    """
    kafka = settings.kafka
    producer = Producer({"acks": "all", "linger.ms": 0, "partitioner": "murmur2_random", **kafka.confluent()})
    topic = topic_name(Topic.ITEMS, kafka=kafka)
    rng = np.random.default_rng(7)
    count = system.metric(_WORKER, "headwater_index_items")
    latencies = []
    twins = []
    for number, at in enumerate(rng.integers(len(catalogue), size=samples).tolist()):
        twin = catalogue[at]
        probe = CatalogueItem(
            item_id=ItemId(f"probe-{number}"),
            item_name=f"{twin.item_name} {number}",  # no text that the encoder remembers
            price=twin.price,
            occurred_at=SystemClock().now_ms(),
        )
        started = time.monotonic()
        producer.produce(topic, value=encode(probe), key=probe.item_id.encode())
        producer.poll(0)
        count = _risen(system, above=count, deadline=started + _VISIBLE_S)
        latencies.append((time.monotonic() - started) * 1e3)
        twins.append((twin.item_id, probe.item_id))
    asked = min(asked, samples)
    shown = _shown(twins[-asked:], settings=settings, producer=producer) if asked else 0
    return ItemsTaken(np.array(latencies), shown, asked)


def _risen(system: System, *, above: float, deadline: float) -> float:
    while (count := system.metric(_WORKER, "headwater_index_items")) <= above:
        if time.monotonic() > deadline:
            raise BenchError(
                f"a catalogue record was not retrievable after {_VISIBLE_S:g} s ({count:.0f} items)\n"
                f"{system.log_tail('encoder')}\n{system.log_tail(_WORKER)}"
            )
        time.sleep(_POLL_S)
    return count


def _shown(twins: Sequence[tuple[str, str]], *, settings: Settings, producer: Any) -> int:
    """How many new items are in the slate of a new shopper who clicks on their twin."""
    kafka = settings.kafka
    answers: SimpleQueue[Recommendation] = SimpleQueue()
    reader = ConfluentAnswers(
        kafka.confluent(),
        topic=topic_name(Topic.RECOMMENDATIONS, kafka=kafka),
        partitions=kafka.partitions,
        heard=lambda recommendation, _arrived_ns: answers.put(recommendation),
    )
    reader.start()
    shown = 0
    try:
        for number, (twin, probe) in enumerate(twins):
            click = ViewItem(
                event_id=f"probe-click-{number}",
                occurred_at=SystemClock().now_ms(),
                user_id=UserId(f"probe-shopper-{number}"),
                items=(Item(item_id=ItemId(twin)),),
            )
            producer.produce(
                topic_name(Topic.CLICKS, kafka=kafka), value=encode(click), key=click.user_id.encode()
            )
            producer.poll(0)
            try:
                slate = answers.get(timeout=_ANSWER_S)
            except Empty as error:
                raise BenchError(f"no recommendation in {_ANSWER_S:g} s after a click on {twin}") from error
            shown += any(item.item_id == probe for item in slate.items)
    finally:
        reader.close()
    return shown
