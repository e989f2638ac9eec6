"""A shop for tests: sends events as a storefront would, and reads back slates, states and letters."""

import asyncio
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from confluent_kafka import Producer

from events.codec import encode, encode_envelope
from events.flatten import HashCache, to_columns
from events.ids import ItemId, UserId
from events.pseudonyms import Pseudonyms
from events.recommendation import Recommendation, decode_recommendation
from events.topics import USER_TOPICS, Topic
from events.types import AddToCart, AnyUserEvent, CatalogueItem, Item, Purchase, ViewItem
from load.sender import topic_of
from serving.redis_store import RedisStore
from streams.bounded_read import BoundedReader, read_to_end
from streams.building import state_codec
from streams.decoding import decode_records
from streams.log_reader import LogRecord
from streams.settings import KafkaSettings, Settings
from streams.topics import topic_name
from tests.streams.deadlines import wait_for

START_MS = 1_700_000_000_000
STEP_MS = 60_000


class Place(NamedTuple):
    """Where the broker put a record."""

    topic: str
    partition: int
    offset: int


@dataclass(frozen=True)
class Sent:
    """An event and where it lies."""

    event: AnyUserEvent
    place: Place


class Storefront:
    """One producer, as a shop has it. `send` returns when the broker has everything."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.kafka: KafkaSettings = settings.kafka
        self._producer = Producer(
            {**self.kafka.confluent(), "acks": "all", "linger.ms": 2, "partitioner": "murmur2_random"}
        )
        self._published: BoundedReader | None = None
        self._slates: dict[int, list[Recommendation]] = {}

    def send(self, events: Iterable[AnyUserEvent]) -> list[Sent]:
        """Each event as a record of its own, keyed by its user."""
        given = list(events)
        raw = [(topic_of(event), event.user_id.encode(), encode(event)) for event in given]
        return [Sent(event, place) for event, place in zip(given, self.send_raw(raw), strict=True)]

    def send_raw(
        self,
        records: Iterable[tuple[Topic, bytes | None, bytes | None]],
        *,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> list[Place]:
        """Records as they are: topic, key, value, and the headers of each of them."""
        places: dict[int, Place] = {}
        problems: list[str] = []

        def reported(number: int) -> Callable[[Any, Any], None]:
            def delivered(error: Any, message: Any) -> None:
                if error is not None:
                    problems.append(str(error))
                else:
                    places[number] = Place(message.topic(), message.partition(), message.offset())

            return delivered

        for number, (topic, key, value) in enumerate(records):
            self._producer.produce(
                topic_name(topic, kafka=self.kafka),
                key=key,
                value=value,
                headers=list(headers),
                on_delivery=reported(number),
            )
            self._producer.poll(0)
        assert self._producer.flush(60) == 0
        assert problems == []
        return [places[number] for number in sorted(places)]

    def send_enveloped(self, events: Iterable[AnyUserEvent], *, at_once: int) -> None:
        """Envelopes of at most `at_once` events each, of one topic and partition; their order stays within those."""
        keys = self.settings.redis.key_space(partitions=self.kafka.partitions)
        homes: dict[tuple[Topic, int], list[AnyUserEvent]] = {}
        for event in events:
            homes.setdefault((topic_of(event), keys.partition(event.user_id)), []).append(event)
        self.send_raw(
            (topic, there[start].user_id.encode(), encode_envelope(there[start : start + at_once]))
            for (topic, _), there in homes.items()
            for start in range(0, len(there), at_once)
        )

    def describe(self, *items: CatalogueItem) -> None:
        """Catalogue records."""
        self.send_raw((Topic.ITEMS, item.item_id.encode(), encode(item)) for item in items)

    def remove(self, item_id: str) -> None:
        """A tombstone of the catalogue."""
        self.send_raw([(Topic.ITEMS, item_id.encode(), None)])

    def log(self, *topics: Topic) -> list[LogRecord]:
        """Everything on these topics, by topic, partition and offset."""
        names = [topic_name(topic, kafka=self.kafka) for topic in topics]
        records = read_to_end(self.kafka, topics=names)
        return sorted(
            LogRecord(r.topic, r.partition, r.offset, r.timestamp, r.key, r.value, tuple(r.headers))
            for r in records
        )

    def slates(self) -> list[Recommendation]:
        """Every slate published so far; a user's in the order of their making."""
        if self._published is None:
            topic = topic_name(Topic.RECOMMENDATIONS, kafka=self.kafka)
            self._published = BoundedReader(self.kafka, topics=[topic])
            weakref.finalize(self, self._published.close)
        for record in self._published.read():
            slates = self._slates.setdefault(record.partition, [])
            slates.append(decode_recommendation(record.value))
        return [slate for _, slates in sorted(self._slates.items()) for slate in slates]

    def slates_of(self, user_id: str) -> list[Recommendation]:
        """The user's slates, the oldest first."""
        return [slate for slate in self.slates() if slate.user_id == user_id]

    def answer(self, sent: Sent, *, timeout_s: float = 60.0) -> Recommendation:
        """The first slate of the event's user that knows of the event."""
        found: list[Recommendation] = []

        def answered() -> bool:
            found[:] = [s for s in self.slates_of(sent.event.user_id) if knows(s, sent)]
            return bool(found)

        wait_for(answered, what=f"slate for {sent.event.event_id}", timeout_s=timeout_s)
        return found[0]

    def unanswered(self, sent: Sequence[Sent]) -> list[Sent]:
        """The users' latest events that no slate knows of yet."""
        latest = {(one.event.user_id, one.place.topic): one for one in sent}
        slates: dict[str, list[Recommendation]] = {}
        for slate in self.slates():
            slates.setdefault(slate.user_id, []).append(slate)
        return [
            one
            for (user, _), one in latest.items()
            if not any(knows(s, one) for s in reversed(slates.get(user, [])))
        ]

    def wait_answered(self, sent: Sequence[Sent], *, timeout_s: float = 90.0) -> None:
        """Return once every user's latest event has its slate."""
        wait_for(
            lambda: not self.unanswered(sent), what=f"slates for {len(sent)} events", timeout_s=timeout_s
        )


def knows(slate: Recommendation, sent: Sent) -> bool:
    """Whether the slate was made with the event in the user's state."""
    place = f"{sent.place.topic}-{sent.place.partition}"
    return slate.seen_offsets.get(place, -1) >= sent.place.offset


def view(user: str, item: str, *, number: int, at_ms: int | None = None, **more: Any) -> ViewItem:
    """A click; `number` tells events apart and, without `at_ms`, sets their time."""
    return ViewItem(**_common(user, number=number, at_ms=at_ms), items=(Item(item_id=ItemId(item)),), **more)


def cart(user: str, item: str, *, number: int, at_ms: int | None = None) -> AddToCart:
    """The item put into the cart."""
    return AddToCart(**_common(user, number=number, at_ms=at_ms), items=(Item(item_id=ItemId(item)),))


def purchase(user: str, *items: str, number: int, at_ms: int | None = None) -> Purchase:
    """A basket."""
    bought = tuple(Item(item_id=ItemId(item)) for item in items)
    return Purchase(**_common(user, number=number, at_ms=at_ms), items=bought)


def _common(user: str, *, number: int, at_ms: int | None) -> dict[str, Any]:
    return {
        "event_id": f"event-{number}",
        "user_id": UserId(user),
        "occurred_at": START_MS + number * STEP_MS if at_ms is None else at_ms,
    }


def visits(
    n: int, *, users: int, items: int = 40, seed: int = 1, first: int = 0, prefix: str = ""
) -> list[AnyUserEvent]:
    """`n` clicks of shoppers c-… and baskets of shoppers p-…, so that a user's events lie on one topic only
    and their order in the log is known. Every tenth event is sent twice, as a producer in trouble would."""
    rng = np.random.default_rng(seed)
    made: list[AnyUserEvent] = []
    for number in range(first, first + n):
        user, item = int(rng.integers(users)), int(rng.integers(items))
        if user % 3:
            made.append(view(f"{prefix}c-{user}", f"item-{item}", number=number))
        else:
            made.append(purchase(f"{prefix}p-{user}", f"item-{item}", "staple", number=number))
        if number % 10 == 9:
            made.append(made[-1])
    return made


def folded(
    log: Sequence[LogRecord], *, settings: Settings, pseudonyms: Pseudonyms | None = None
) -> dict[tuple[int, str], bytes]:
    """The states that the log leaves, by partition and user: each event once, in log order, in this process.

    Only for logs in which a user's events lie on one topic."""
    topics = {topic_name(topic, kafka=settings.kafka): topic for topic in USER_TOPICS}
    numbers = {topic: number for number, topic in enumerate(USER_TOPICS)}
    records = sorted(log)
    arrivals = decode_records(records, topics=topics, now_ms=4_000_000_000_000, pseudonyms=pseudonyms)
    homes = [records[at] for at in arrivals.origins]
    codec = state_codec(settings)
    columns = to_columns(arrivals.events, hashes=HashCache())
    states = codec.new(columns.user_hashes)
    positions = [(numbers[topics[r.topic]], r.partition, r.offset) for r in homes]
    codec.fold(states, columns=columns, positions=np.array(positions, np.int64).reshape(-1, 3))
    partition = {e.user_id: r.partition for e, r in zip(arrivals.events, homes, strict=True)}
    blobs = codec.pack(states)
    return {(partition[user], user): blob for user, blob in zip(columns.users, blobs, strict=True)}


def stored(
    users: Iterable[tuple[int, str]], *, settings: Settings
) -> tuple[dict[tuple[int, str], bytes | None], Mapping[int, int], Mapping[int, Mapping[str, int]]]:
    """What Redis has: the users' states, the number of waiting users and the watermarks by partition."""
    keys = settings.redis.key_space(partitions=settings.kafka.partitions)
    asked = list(users)

    async def read() -> Any:
        store = RedisStore(settings.redis.options(), keys=keys)
        try:
            return await store.read(asked, partitions=range(settings.kafka.partitions))
        finally:
            await store.close()

    found = asyncio.run(read())
    return dict(zip(asked, found.states, strict=True)), found.pending, found.applied


def slate_in_redis(user: str, *, settings: Settings) -> bytes | None:
    """The user's last slate, as the shop's backend reads it."""
    keys = settings.redis.key_space(partitions=settings.kafka.partitions)

    async def read() -> bytes | None:
        store = RedisStore(settings.redis.options(), keys=keys)
        try:
            return await store.slate(user)
        finally:
            await store.close()

    return asyncio.run(read())
