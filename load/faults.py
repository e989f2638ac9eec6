"""What real storefronts do to their stream: events sent twice, events that come late, broken bytes."""

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

import numpy as np

from events.codec import decode, encode
from events.topics import TOPIC_OF
from events.types import AnyUserEvent
from load.errors import BadLoadConfig

_TRIES = 64


class Sending(Enum):
    """Why a record is sent."""

    EVENT = "event"
    DUPLICATE = "duplicate"  # an event that was sent before, under the same event_id
    POISON = "poison"  # an event's bytes, broken; its own event is sent as well


@dataclass(frozen=True, slots=True)
class Faults:
    """The shares, each 0 to 1, of events that are sent twice, sent late, or followed by a broken copy.

    A late event is sent after up to `late_by` later ones, and a duplicate up to `late_by` after its original.
    """

    duplicates: float = 0.0
    disorder: float = 0.0
    poison: float = 0.0
    late_by: int = 100

    def __post_init__(self) -> None:
        for name in ("duplicates", "disorder", "poison"):
            if not 0 <= getattr(self, name) <= 1:
                raise BadLoadConfig(f"{name}: received {getattr(self, name)}, expected a share from 0 to 1")
        if self.late_by < 1:
            raise BadLoadConfig(f"late_by: received {self.late_by}, expected at least 1")

    @property
    def none(self) -> bool:
        """Whether the stream is sent as it is."""
        return not (self.duplicates or self.disorder or self.poison)


def with_faults(
    events: Iterable[AnyUserEvent], *, faults: Faults, rng: np.random.Generator
) -> Iterator[tuple[Sending, AnyUserEvent]]:
    """Each event exactly once as EVENT, some of them late; after it, its duplicate and its poisoned copy.

    Holds at most 2 x `late_by` events back. The same generator state gives the same plan.
    """
    if faults.none:
        for event in events:
            yield Sending.EVENT, event
        return
    held: list[tuple[int, int, Sending, AnyUserEvent]] = []  # heap of (release at, order, …)
    order = 0
    for at, event in enumerate(events):
        late, twice, broken = rng.random(3) < (faults.disorder, faults.duplicates, faults.poison)
        release = at + int(rng.integers(1, faults.late_by + 1)) if late else at
        again = release + int(rng.integers(1, faults.late_by + 1))
        for wanted, when, sending in (
            (True, release, Sending.EVENT),
            (broken, release, Sending.POISON),
            (twice, again, Sending.DUPLICATE),
        ):
            if wanted:
                heapq.heappush(held, (when, order, sending, event))
                order += 1
        while held and held[0][0] <= at:
            yield heapq.heappop(held)[2:]
    while held:
        yield heapq.heappop(held)[2:]


def poisoned(event: AnyUserEvent, *, rng: np.random.Generator) -> bytes:
    """Bytes close to the event's that Headwater's codec refuses: truncated, flipped, spliced or mistyped."""
    raw = encode(event)
    topic = TOPIC_OF[str(type(event).__struct_config__.tag)]
    for _ in range(_TRIES):
        broken = _mutated(raw, rng=rng)
        decoded = decode(broken, topic=topic, now_ms=event.occurred_at, key=event.user_id.encode())
        if decoded.rejects and not decoded.events:
            return broken
    return raw[: len(raw) // 2]


def _mutated(raw: bytes, *, rng: np.random.Generator) -> bytes:
    at = int(rng.integers(0, len(raw)))
    way = int(rng.integers(0, 5))
    if way == 0:
        return raw[:at]
    if way == 1:
        return raw[:at] + bytes([raw[at] ^ 1 << int(rng.integers(0, 8))]) + raw[at + 1 :]
    if way == 2:
        return raw[:at] + raw[int(rng.integers(0, len(raw))) :]
    if way == 3:
        return raw.replace(b'"occurred_at":', b'"occurred_at":"yesterday","was":', 1)
    return bytes(rng.integers(0, 256, size=min(len(raw), 64), dtype=np.uint8))
