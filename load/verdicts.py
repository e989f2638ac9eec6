"""What must have become of each record of the log: a ledger that never asks the system.

It reads the topics plainly. Of a source record it asks the codec for the verdict, event by event; of a dead letter it
takes the headers and the bytes. Letters and verdicts must match one by one, and what every user's state should
count follows from the good ones.
"""

from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import xxhash

from events.codec import decode, decode_item
from events.errors import BadEvent
from events.topics import Topic
from events.types import CatalogueItem, ViewItemList

KIND_HEADER = "fuzz-kind"
SEEN_IDS = 16  # the system's promise: an event_id among a user's last 16 is a duplicate
_WHOLE_BYTES = 1_500_000  # of larger originals the bytes themselves are kept: their letters may be cut

Place = tuple[str, int, int, int]  # topic, partition, offset, place in the envelope
UserAt = tuple[int, str]  # partition, user id


@dataclass(slots=True)
class KindCounts:
    """What the records of one kind came to."""

    records: int = 0
    good: int = 0  # events and catalogue records that must be applied
    bad: int = 0  # that must be in dead letters
    letters: int = 0  # that are, each with its reason and its bytes
    cut: int = 0  # of these, too large for the topic: the first bytes, and the size of all
    reasons: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class UserCounts:
    """What a user's state must hold."""

    applied: int = 0
    repeated: int = 0
    topics: set[str] = field(default_factory=set)
    asks: bool = False  # for a slate: something other than impressions
    recent: deque[str] = field(default_factory=lambda: deque(maxlen=SEEN_IDS))


@dataclass(frozen=True, slots=True)
class _Expected:
    kind: str
    reason: str
    digest: int
    size: int
    raw: bytes | None


class Verdicts:
    """Take every source record in the order of its partition, then every letter; `problems` must stay empty."""

    def __init__(self, *, topics: Mapping[str, Topic], now_ms: int) -> None:
        """topics: full topic name -> what it carries."""
        self.kinds: dict[str, KindCounts] = {}
        self.users: dict[UserAt, UserCounts] = {}
        self.items: dict[
            str, dict[int, str | None]
        ] = {}  # by id and partition, the last title; None: removed
        self.problems: list[str] = []
        self.repeated_letters = 0
        self.events = 0  # good ones of shoppers
        self._topics = topics
        self._now_ms = now_ms
        self._expected: dict[Place, _Expected] = {}
        self._found: set[Place] = set()

    def take(self, record: Any) -> None:
        """A record of a source topic: topic, partition, offset, key, value, headers as kafka-python gives them."""
        headers = tuple(record.headers)
        kind = (dict(headers).get(KIND_HEADER) or b"unknown").decode()
        counts = self.kinds.setdefault(kind, KindCounts())
        counts.records += 1
        topic = self._topics[record.topic]
        if topic is Topic.ITEMS:
            self._take_item(record, counts, kind=kind)
            return
        decoded = decode(record.value, topic=topic, now_ms=self._now_ms, key=record.key, headers=headers)
        counts.good += len(decoded.events)
        self.events += len(decoded.events)
        for event in decoded.events:
            user = self.users.setdefault((record.partition, event.user_id), UserCounts())
            user.topics.add(record.topic)
            user.asks = user.asks or not isinstance(event, ViewItemList)
            if event.event_id in user.recent:
                user.repeated += 1
            else:
                user.recent.append(event.event_id)
                user.applied += 1
        for reject in decoded.rejects:
            self._expect(record, counts, kind=kind, index=reject.index, error=reject.error, raw=reject.raw)

    def take_letter(self, record: Any) -> None:
        """A record of the dead letters' topic."""
        headers = {name: value or b"" for name, value in record.headers}
        place = (
            headers["hw-source-topic"].decode(),
            int(headers["hw-source-partition"]),
            int(headers["hw-source-offset"]),
            int(headers["hw-event-index"]),
        )
        expected = self._expected.get(place)
        if expected is None:
            self.problems.append(f"a letter for {place}, which is good: {headers['hw-detail'].decode()}")
            return
        value = record.value or b""
        cut = headers.get("hw-cut")
        if cut is None:
            whole = xxhash.xxh3_64_intdigest(value) == expected.digest
        else:
            whole = int(cut) == expected.size and (expected.raw or b"").startswith(value) and value != b""
        if headers["hw-reason"].decode() != expected.reason or not whole:
            self.problems.append(
                f"the letter for {place} has reason {headers['hw-reason']!r} and {len(value)} bytes; "
                f"expected {expected.reason} and {expected.size} bytes"
            )
        if place in self._found:
            self.repeated_letters += 1
            return
        self._found.add(place)
        counts = self.kinds[expected.kind]
        counts.letters += 1
        counts.cut += cut is not None

    def missing(self) -> list[str]:
        """Bad events without a letter."""
        return [
            f"no letter for {place}: {expected.reason}, {expected.kind}"
            for place, expected in self._expected.items()
            if place not in self._found
        ]

    def _take_item(self, record: Any, counts: KindCounts, *, kind: str) -> None:
        try:
            item = decode_item(record.value, now_ms=self._now_ms, key=record.key)
        except BadEvent as error:
            self._expect(record, counts, kind=kind, index=0, error=error, raw=record.value or b"")
            return
        counts.good += 1
        title = item.item_name if isinstance(item, CatalogueItem) else None
        self.items.setdefault(item.item_id, {})[record.partition] = title

    def _expect(
        self, record: Any, counts: KindCounts, *, kind: str, index: int, error: BadEvent, raw: bytes
    ) -> None:
        counts.bad += 1
        counts.reasons[error.reason.value] += 1
        self._expected[record.topic, record.partition, record.offset, index] = _Expected(
            kind=kind,
            reason=error.reason.value,
            digest=xxhash.xxh3_64_intdigest(raw),
            size=len(raw),
            raw=raw if len(raw) > _WHOLE_BYTES else None,
        )
