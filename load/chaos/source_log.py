"""What the source log says must have happened: which events count, in which partition, and which are refused."""

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from events.codec import decode
from events.topics import USER_TOPICS, Topic
from events.types import AnyUserEvent, ViewItemList
from load.chaos.findings import Place
from load.chaos.raw_log import RawRecord

REMEMBERED = 16  # of a user's last events, those whose repetition is known as one
_LATEST_MS = 4_102_444_800_000  # 2100: what refuses an event must not depend on when the ledger is made


@dataclass(frozen=True, slots=True)
class Logged:
    """One event at its place. `counts`: it is the first with its event_id, so it changes its user's state."""

    place: Place
    event: AnyUserEvent
    counts: bool


@dataclass(slots=True)
class SourceLog:
    """The events of every user, in the order of their topic, and what came beside them."""

    users: dict[tuple[int, str], list[Logged]] = field(default_factory=dict)  # by partition and user id
    refused: list[RawRecord] = field(default_factory=list)  # broken: each belongs in the dead letters
    ends: dict[int, dict[str, int]] = field(default_factory=dict)  # partition -> topic -> last offset
    records: int = 0

    @property
    def events(self) -> int:
        """Events that count."""
        return sum(one.counts for logged in self.users.values() for one in logged)


def read_source(records: Iterable[RawRecord]) -> SourceLog:
    """What the raw records of the user topics say. An event_id that its user had among the last events of the
    same topic is a producer's duplicate: it changes no state, and asks for a slate like any other event."""
    found = SourceLog()
    users: dict[tuple[int, str], list[Logged]] = defaultdict(list)
    recent: dict[tuple[int, str, str], deque[str]] = defaultdict(lambda: deque(maxlen=REMEMBERED))
    for record in sorted(records):
        if record.topic not in USER_TOPICS:
            continue
        found.records += 1
        ends = found.ends.setdefault(record.partition, {})
        ends[record.topic] = max(ends.get(record.topic, -1), record.offset)
        decoded = decode(record.value or b"", topic=Topic(record.topic), now_ms=_LATEST_MS, key=record.key)
        if decoded.rejects:
            found.refused.append(record)
        for event in decoded.events:
            known = recent[record.partition, event.user_id, record.topic]
            counts = event.event_id not in known
            if counts:
                known.append(event.event_id)
            users[record.partition, event.user_id].append(Logged(record.place, event, counts))
    found.users = dict(users)
    return found


def due(logged: Logged) -> bool:
    """Whether the event asks for a slate: all do but lists that were shown."""
    return not isinstance(logged.event, ViewItemList)


def last_of(history: Iterable[Logged], *, seen: Mapping[str, int]) -> dict[str, Logged]:
    """By topic the last event that counts at or before the offsets `seen` (topic -> offset)."""
    last: dict[str, Logged] = {}
    for one in history:
        if one.counts and one.place.offset <= seen.get(one.place.topic, -1):
            last[one.place.topic] = one
    return last
