"""Puts events into Kafka and reports what became of each record."""

from collections.abc import Callable, Mapping, Sequence
from threading import Semaphore
from typing import Any, TypeAlias

from kafka import KafkaProducer
from kafka.errors import KafkaError

from events.codec import encode
from events.ids import partition_of
from events.topics import TOPIC_OF, USER_TOPICS, Topic
from events.types import AnyUserEvent, CatalogueItem
from load.envelopes import Envelope, Envelopes
from load.errors import BrokerTrouble

Ticket: TypeAlias = Any
Delivered: TypeAlias = Callable[[Sequence[Ticket], str, int], None]
"""Called with the record's tickets, its "topic-partition" (without the prefix) and its offset, in the
client's own thread."""
Undelivered: TypeAlias = Callable[[Sequence[Ticket]], None]

_MAX_UNCONFIRMED = 20_000  # records; beyond it `send` waits, so that a dead broker does not fill the memory
_MAX_REQUEST_BYTES = 1_048_576
_FOREVER_NS = 1 << 62


def event_name(event: AnyUserEvent) -> str:
    """The contract's name of `event`: its field `event`."""
    return str(type(event).__struct_config__.tag)


def topic_of(event: AnyUserEvent) -> Topic:
    """The topic that carries `event`."""
    return TOPIC_OF[event_name(event)]


class EventSender:
    """A Kafka producer that speaks Headwater's contract. Use from one thread; `close` when done.

    `envelope` > 1 gathers that many events of one partition into each record. BrokerTrouble where Kafka
    cannot be reached or a topic is missing.
    """

    def __init__(
        self,
        bootstrap: str,
        *,
        kafka: Mapping[str, Any],
        topic_prefix: str = "",
        topics: Sequence[Topic] = USER_TOPICS,
        linger_ms: float = 1.0,
        envelope: int = 1,
        envelope_wait_ms: float = 20.0,
        on_delivered: Delivered = lambda _tickets, _position, _offset: None,
        on_undelivered: Undelivered = lambda _tickets: None,
    ) -> None:
        self._prefix = topic_prefix
        self._on_delivered = on_delivered
        self._on_undelivered = on_undelivered
        self._room = Semaphore(_MAX_UNCONFIRMED)
        self._envelopes: Envelopes[Ticket] | None = None
        if envelope > 1:
            self._envelopes = Envelopes(size=envelope, wait_ns=round(envelope_wait_ms * 1e6))
        options = {**kafka, "bootstrap_servers": bootstrap.split(",")}
        try:
            self._producer = KafkaProducer(
                **options,
                acks="all",
                linger_ms=linger_ms,
                max_request_size=_MAX_REQUEST_BYTES,
                max_block_ms=10_000,
                allow_auto_create_topics=False,
                metrics_enabled=False,
            )
        except KafkaError as error:
            raise BrokerTrouble(f"no Kafka at {bootstrap}: {error}; is it running and reachable?") from error
        self._partitions = {topic: self._count(topic) for topic in topics}

    def send(self, event: AnyUserEvent, *, ticket: Ticket | None, now_ns: int) -> None:
        """Sends one event, or puts it into its envelope; `ticket` comes back in the delivery report."""
        topic = topic_of(event)
        key = event.user_id.encode()
        if self._envelopes is None:
            self._produce(topic, encode(event), key=key, tickets=(ticket,))
            return
        partition = partition_of(key, partitions=self._partitions[topic])
        for envelope in self._envelopes.add(
            encode(event), topic=topic, partition=partition, key=key, ticket=ticket, now_ns=now_ns
        ):
            self._produce_envelope(envelope)

    def send_raw(self, raw: bytes, *, topic: Topic, key: bytes) -> None:
        """Sends bytes as they are; no report comes back."""
        self._produce(topic, raw, key=key, tickets=())

    def send_item(self, item: CatalogueItem) -> None:
        """Sends a catalogue record; no report comes back."""
        self._produce(Topic.ITEMS, encode(item), key=item.item_id.encode(), tickets=())

    def send_due(self, *, now_ns: int) -> None:
        """Sends the envelopes that have waited long enough."""
        if self._envelopes is not None:
            for envelope in self._envelopes.due(now_ns=now_ns):
                self._produce_envelope(envelope)

    def due_in_ns(self, *, now_ns: int) -> int:
        """How long until the next envelope has waited long enough."""
        return self._envelopes.due_in_ns(now_ns=now_ns) if self._envelopes is not None else _FOREVER_NS

    def flush(self, *, timeout_s: float = 30.0) -> None:
        """Sends what is held and waits for every delivery report. BrokerTrouble after `timeout_s`."""
        if self._envelopes is not None:
            for envelope in self._envelopes.rest():
                self._produce_envelope(envelope)
        try:
            self._producer.flush(timeout=timeout_s)
        except KafkaError as error:
            raise BrokerTrouble(
                f"Kafka has not confirmed every record in {timeout_s:.0f} s: {error}"
            ) from error

    def close(self) -> None:
        """Gives up what is not yet delivered."""
        self._producer.close(timeout=1.0)

    def _produce_envelope(self, envelope: Envelope[Ticket]) -> None:
        self._produce(
            Topic(envelope.topic),
            envelope.record(),
            key=envelope.key,
            tickets=envelope.tickets,
            partition=envelope.partition,
        )

    def _produce(
        self,
        topic: Topic,
        value: bytes,
        *,
        key: bytes,
        tickets: Sequence[Ticket],
        partition: int | None = None,
    ) -> None:
        self._room.acquire()
        try:
            sent = self._producer.send(f"{self._prefix}{topic.value}", value, key=key, partition=partition)
        except KafkaError as error:
            self._room.release()
            raise BrokerTrouble(f"cannot send to {self._prefix}{topic.value}: {error}") from error
        sent.add_callback(self._delivered, tickets)
        sent.add_errback(self._undelivered, tickets)

    def _delivered(self, tickets: Sequence[Ticket], record: Any) -> None:
        self._room.release()
        if tickets:
            self._on_delivered(
                tickets, f"{record.topic.removeprefix(self._prefix)}-{record.partition}", record.offset
            )

    def _undelivered(self, tickets: Sequence[Ticket], _error: Exception) -> None:
        self._room.release()
        if tickets:
            self._on_undelivered(tickets)

    def _count(self, topic: Topic) -> int:
        name = f"{self._prefix}{topic.value}"
        try:
            return len(self._producer.partitions_for(name))
        except KafkaError as error:
            self._producer.close(timeout=0)
            raise BrokerTrouble(
                f"there is no topic {name} ({error}): run `headwater topics ensure`, or start the system"
            ) from error
