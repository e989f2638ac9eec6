"""The shop that goes on while everything falls: the shipped stream at a steady pace, with bursts on demand."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, islice
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Any

import numpy as np
from msgspec.structs import replace

from events.types import AnyUserEvent, CatalogueItem, Purchase, ViewItem
from load.catalogue import read_items
from load.chaos.answered import Answered, Ticket
from load.columns import Columns
from load.errors import BrokerTrouble
from load.faults import Faults, Sending, poisoned, with_faults
from load.sender import EventSender, topic_of
from load.stream_reader import StreamReader

_LOOK_BEFORE_MS = 60_000
_LOOK_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Stream:
    """What is fed. `skip`: of the stream's events; duplicates, poison: shares (see load.faults)."""

    path: Any
    items: Any
    skip: int = 0
    rate: float = 20.0  # events a second
    items_per_s: float = 2.0
    items_first: int = 200
    duplicates: float = 0.03
    poison: float = 0.01


def events_of(stream: Stream, *, rng: np.random.Generator) -> Iterator[AnyUserEvent]:
    """The stream's baskets for ever (a second time under new ids), half of them after a look at their first item,
    so that a shopper's events lie on two topics."""
    for lap in count():
        reader = StreamReader(stream.path, columns=Columns())
        for event in islice(reader, 0 if lap else stream.skip, None):
            own = replace(event, event_id=f"{lap}-{event.event_id}") if lap else event
            if isinstance(own, Purchase) and own.items and rng.random() < _LOOK_SHARE:
                yield ViewItem(
                    event_id=f"look-{own.event_id}",
                    user_id=own.user_id,
                    occurred_at=own.occurred_at - _LOOK_BEFORE_MS,
                    items=own.items[:1],
                )
            yield own


class Feeder:
    """Sends from a thread of its own until `stop`; tells `answered` of everything. Close it at the end."""

    def __init__(
        self,
        stream: Stream,
        *,
        bootstrap: str,
        kafka: Mapping[str, Any],
        prefix: str,
        answered: Answered,
        seed: int,
    ) -> None:
        self._stream = stream
        self._answered = answered
        self._rng = np.random.default_rng(seed)
        faults = Faults(duplicates=stream.duplicates, poison=stream.poison, late_by=20)
        self._plan = with_faults(
            events_of(stream, rng=np.random.default_rng([seed, 1])),
            faults=faults,
            rng=np.random.default_rng([seed, 2]),
        )
        self._items = _described(read_items(stream.items))
        self._bursts: SimpleQueue[tuple[int, int]] = SimpleQueue()
        self._stop = Event()
        self._error: BaseException | None = None
        self._sender = EventSender(bootstrap, kafka=kafka, topic_prefix=prefix, on_delivered=self._delivered)
        self._thread = Thread(target=self._run, name="feeder", daemon=True)

    def start(self) -> None:
        """The first items are sent at once."""
        self._send_items(self._stream.items_first)
        self._thread.start()

    def burst(self, *, events: int = 0, items: int = 0) -> None:
        """Send so many at once, as soon as the thread comes to it."""
        self._bursts.put((events, items))

    def check(self) -> None:
        """BrokerTrouble where the thread has died."""
        if self._error is not None:
            raise BrokerTrouble(f"feeding stopped: {self._error!r}") from self._error

    def stop(self, *, timeout_s: float = 60.0) -> None:
        """Stop feeding; return once the broker has everything."""
        self._stop.set()
        self._thread.join()
        self.check()
        self._sender.flush(timeout_s=timeout_s)

    def close(self) -> None:
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._sender.close()

    def _run(self) -> None:
        try:
            started = time.monotonic()
            events = items = 0
            while not self._stop.is_set():
                past_s = time.monotonic() - started
                due_events = int(past_s * self._stream.rate) - events
                due_items = int(past_s * self._stream.items_per_s) - items
                events, items = events + due_events, items + due_items
                try:
                    more_events, more_items = self._bursts.get_nowait()
                except Empty:
                    more_events = more_items = 0
                self._send_events(due_events + more_events)
                self._send_items(due_items + more_items)
                self._stop.wait(0.01)
        except BaseException as error:  # carried to the thread that asks, see check()
            self._error = error

    def _send_events(self, n: int) -> None:
        for sending, event in islice(self._plan, n):
            if sending is Sending.POISON:
                raw = poisoned(event, rng=self._rng)
                self._sender.send_raw(raw, topic=topic_of(event), key=event.user_id.encode())
                continue
            now_s = time.monotonic()
            self._answered.event_sent()
            self._sender.send(event, ticket=Ticket(event.user_id, now_s), now_ns=time.monotonic_ns())

    def _send_items(self, n: int) -> None:
        for item in islice(self._items, n):
            self._answered.item_sent(item.item_id, time.monotonic())
            self._sender.send_item(item)

    def _delivered(self, tickets: Sequence[Ticket], place: str, offset: int) -> None:
        for ticket in tickets:
            self._answered.event_delivered(ticket, place, offset)


def _described(items: Sequence[CatalogueItem]) -> Iterator[CatalogueItem]:
    """Every item, then every item again at another price, and so on."""
    for lap in count():
        for item in items:
            yield item if not lap else replace(item, price=round((item.price or 1.0) + lap, 2))
