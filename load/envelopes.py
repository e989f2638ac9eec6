"""Events gathered into envelopes: many events of one partition in one record."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

_T = TypeVar("_T")
_MAX_BYTES = 900_000  # below the 1 MB that a record may have
_HEAD, _TAIL = b'{"events":[', b"]}"


@dataclass(slots=True)
class Envelope(Generic[_T]):
    """The events gathered for one partition of one topic. `tickets` are what their sender keeps of each."""

    topic: str
    partition: int
    key: bytes
    oldest_ns: int
    parts: list[bytes] = field(default_factory=list)
    tickets: list[_T] = field(default_factory=list)
    size: int = 0

    def record(self) -> bytes:
        """The record's value, equal to events.codec.encode_envelope of the events."""
        return _HEAD + b",".join(self.parts) + _TAIL


class Envelopes(Generic[_T]):
    """Gathers encoded events until an envelope holds `size` of them, or its oldest has waited `wait_ns`."""

    def __init__(self, *, size: int, wait_ns: int) -> None:
        self._size = size
        self._wait_ns = wait_ns
        self._open: dict[tuple[str, int], Envelope[_T]] = {}

    def add(
        self, raw: bytes, *, topic: str, partition: int, key: bytes, ticket: _T, now_ns: int
    ) -> Iterator[Envelope[_T]]:
        """Takes one encoded event in; gives the envelopes that are full because of it."""
        place = (topic, partition)
        envelope = self._open.get(place)
        if envelope is not None and envelope.size + len(raw) > _MAX_BYTES:
            yield self._open.pop(place)
            envelope = None
        if envelope is None:
            envelope = self._open[place] = Envelope(topic, partition, key, now_ns)
        envelope.parts.append(raw)
        envelope.tickets.append(ticket)
        envelope.size += len(raw) + 1
        if len(envelope.parts) >= self._size:
            yield self._open.pop(place)

    def due(self, *, now_ns: int) -> Iterator[Envelope[_T]]:
        """The envelopes whose oldest event has waited long enough."""
        for place, envelope in list(self._open.items()):
            if now_ns - envelope.oldest_ns >= self._wait_ns:
                yield self._open.pop(place)

    def due_in_ns(self, *, now_ns: int) -> int:
        """How long until the next one has; a long time where none is open."""
        oldest_ns = min((envelope.oldest_ns for envelope in self._open.values()), default=1 << 62)
        return max(0, oldest_ns + self._wait_ns - now_ns)

    def rest(self) -> Iterator[Envelope[_T]]:
        """Every envelope that is not empty."""
        while self._open:
            yield self._open.pop(next(iter(self._open)))
