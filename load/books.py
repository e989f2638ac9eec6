"""The ledger's front door for a run's three threads: what two of them tell, the third writes down."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from queue import Empty, SimpleQueue
from typing import NamedTuple

from events.recommendation import Recommendation
from events.topics import USER_TOPICS
from load.ledger import Ledger

_USER_TOPIC_NAMES = frozenset(topic.value for topic in USER_TOPICS)


class Ticket(NamedTuple):
    """What is kept of an event on its way: its user, due time (ns from the start), and if it is awaited."""

    user: str
    due_ns: int
    awaited: bool


def logical_offsets(seen_offsets: dict[str, int], *, topic_prefix: str) -> dict[str, int]:
    """`seen_offsets` by the topics' names without the deployment's prefix.

    >>> logical_offsets({"shop-clicks-3": 7, "carts-3": 1}, topic_prefix="shop-")
    {'clicks-3': 7, 'carts-3': 1}
    """
    if not topic_prefix:
        return seen_offsets
    return {
        place if place.rpartition("-")[0] in _USER_TOPIC_NAMES else place.removeprefix(topic_prefix): offset
        for place, offset in seen_offsets.items()
    }


class Books:
    """A journal that any thread may write to, and the ledger that one thread keeps from it.

    The thread that reads answers calls `keep` and then `recommended`, `unreadable` and `dead_letter`; so an
    event's `sent` is always in the ledger before its answer is looked at. Arrivals are time.monotonic_ns().
    """

    def __init__(self, *, topic_prefix: str = "") -> None:
        self.ledger = Ledger()
        self.start_ns = time.monotonic_ns()  # set again when the run starts, before anything is sent
        self._prefix = topic_prefix
        self._journal: SimpleQueue[Callable[[], None]] = SimpleQueue()

    def now_ns(self) -> int:
        """Nanoseconds from the start of the run."""
        return time.monotonic_ns() - self.start_ns

    @property
    def waiting(self) -> int:
        """Awaited events without an answer; 0 only when everything told is written down, too."""
        return self.ledger.waiting + self._journal.qsize()

    # From the sending thread.

    def sent(self, ticket: Ticket) -> None:
        """The event is about to be handed to the client library."""
        self._journal.put(
            partial(self.ledger.sent, ticket.user, due_ns=ticket.due_ns, awaited=ticket.awaited)
        )

    def duplicate_sent(self) -> None:
        """An event was sent again."""
        self._journal.put(partial(self._count, "duplicates_sent"))

    def poison_sent(self) -> None:
        """Broken bytes were sent."""
        self._journal.put(partial(self._count, "poison_sent"))

    def item_sent(self) -> None:
        """A catalogue record was sent."""
        self._journal.put(partial(self._count, "items_sent"))

    # From the producer's own thread.

    def delivered(self, tickets: Sequence[Ticket | None], position: str, offset: int) -> None:
        """The broker has the record that carries the tickets' events."""
        for user, due_ns, awaited in filter(None, tickets):
            self._journal.put(
                partial(
                    self.ledger.delivered,
                    user,
                    due_ns=due_ns,
                    awaited=awaited,
                    position=position,
                    offset=offset,
                )
            )

    def undelivered(self, tickets: Sequence[Ticket | None]) -> None:
        """The broker does not have it."""
        for ticket in filter(None, tickets):
            self._journal.put(partial(self.ledger.undelivered, ticket.user, awaited=ticket.awaited))

    # From the thread that reads answers.

    def keep(self) -> None:
        """Writes down everything told so far."""
        while True:
            try:
                entry = self._journal.get_nowait()
            except Empty:
                break
            entry()
        self.ledger.sweep(now_ns=self.now_ns())

    def recommended(self, recommendation: Recommendation, arrived_ns: int) -> None:
        """A recommendation arrived."""
        if recommendation.degraded:
            self._count("degraded_recommendations")
        self.ledger.recommended(
            recommendation.user_id,
            rec_id=recommendation.rec_id,
            seen_offsets=logical_offsets(recommendation.seen_offsets, topic_prefix=self._prefix),
            arrived_ns=arrived_ns - self.start_ns,
        )

    def unreadable(self) -> None:
        """A record on the recommendations topic was none."""
        self._count("unreadable_recommendations")

    def dead_letter(self) -> None:
        """A record came onto the dead-letters topic."""
        self._count("dead_letters")

    def _count(self, name: str) -> None:
        setattr(self.ledger.counts, name, getattr(self.ledger.counts, name) + 1)
