"""What has come back of what was sent: who waits, and when a role showed that it lives again."""

import json
from threading import Lock
from typing import Any, NamedTuple

from events.errors import BadEvent
from events.recommendation import decode_recommendation
from events.topics import Topic

_SERVING_HEADER = "hw-serving"


class Ticket(NamedTuple):
    """What is kept of an event on its way."""

    user: str
    sent_s: float


class Answered:
    """Told of what is sent and heard, by any thread; times are time.monotonic()."""

    def __init__(self, *, prefix: str) -> None:
        self._prefix = prefix
        self._lock = Lock()
        self._waiting: dict[str, list[tuple[str, int, float]]] = {}  # user -> place, offset, when it was sent
        self._known: dict[str, dict[str, int]] = {}  # user -> place -> last offset that a slate knows of
        self._items: dict[str, float] = {}  # item id -> when it was sent
        self._adapter = 0
        self._since = 0.0
        self._seen: dict[str, float] = {}  # role -> when it first answered since `mark`
        self.sent = self.delivered = 0

    def mark(self, now_s: float) -> int:
        """From now on only answers to what is sent after `now_s` count; the newest adapter's version so far."""
        with self._lock:
            self._since, self._seen = now_s, {}
            return self._adapter

    def answered_s(self, role: str) -> float | None:
        """When `role` answered what was sent after the mark; None: not yet. The learner answers by an adapter
        of a version that was not there before."""
        with self._lock:
            return self._seen.get(role)

    @property
    def events_waiting(self) -> int:
        """Events that no slate has seen yet, or that the broker has not confirmed."""
        with self._lock:
            return sum(map(len, self._waiting.values())) + self.sent - self.delivered

    @property
    def items_waiting(self) -> int:
        """Items without a vector."""
        with self._lock:
            return len(self._items)

    # From the sender's threads.

    def event_sent(self) -> None:
        with self._lock:
            self.sent += 1

    def event_delivered(self, ticket: Ticket, place: str, offset: int) -> None:
        with self._lock:
            self.delivered += 1
            if self._known.get(ticket.user, {}).get(place, -1) < offset:
                self._waiting.setdefault(ticket.user, []).append((place, offset, ticket.sent_s))
            elif ticket.sent_s >= self._since:
                self._seen.setdefault("recommender", ticket.sent_s)

    def item_sent(self, item_id: str, sent_s: float) -> None:
        with self._lock:
            self._items[item_id] = sent_s

    # From the listener's thread.

    def heard(self, topic: str, record: Any, arrived_s: float) -> None:
        """A record of the recommendations, adapters or item-vectors topic."""
        with self._lock:
            match topic:
                case Topic.RECOMMENDATIONS:
                    self._slate(record.value, arrived_s)
                case Topic.ADAPTERS:
                    version = int(json.loads(dict(record.headers)[_SERVING_HEADER])["version"])
                    if version > self._adapter:
                        self._adapter = version
                        self._seen.setdefault("learner", arrived_s)
                case Topic.ITEM_VECTORS:
                    sent_s = self._items.pop((record.key or b"").decode(), None)
                    if sent_s is not None and sent_s >= self._since:
                        self._seen.setdefault("encoder", arrived_s)
                case _:
                    raise ValueError(f"nobody listens to {topic}")

    def _slate(self, value: bytes | None, arrived_s: float) -> None:
        try:
            slate = decode_recommendation(value or b"")
        except BadEvent:
            return  # the ledger will say so
        known = self._known.setdefault(slate.user_id, {})
        for full, offset in slate.seen_offsets.items():
            place = full.removeprefix(self._prefix)
            known[place] = max(known.get(place, -1), offset)
        left = []
        for place, offset, sent_s in self._waiting.pop(slate.user_id, []):
            if known.get(place, -1) < offset:
                left.append((place, offset, sent_s))
            elif sent_s >= self._since:
                self._seen.setdefault("recommender", arrived_s)
        if left:
            self._waiting[slate.user_id] = left
