"""The topic `adapters`: what its keys, headers and values are, and what serves by it.

Key `ranker/NN`
    An adapter as it was published: weights, and in a header everything else that recommenders need. NN counts
    round, so that compaction keeps the last so many.
Key `pin`
    The pointer: a copy of the adapter that serves until further notice, whatever is published meanwhile. No
    value: nothing is pinned, and the newest adapter serves.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from models.adapter_record import AdapterRecord
from models.errors import AdapterError
from streams.log_reader import LogRecord
from streams.publisher import Record

SERVING_HEADER = "hw-serving"  # of an adapter: what recommenders need beside the weights, as JSON
PIN_HEADER = "hw-pin"  # of the pointer: who pinned it when and why, as JSON
ADAPTER_KEY = b"ranker"
PIN_KEY = b"pin"


def slot_key(version: int, *, kept: int) -> bytes:
    """The key of publication `version` where the last `kept` are to stay.

    >>> slot_key(3, kept=16), slot_key(19, kept=16)
    (b'ranker/03', b'ranker/03')
    """
    return b"%s/%02d" % (ADAPTER_KEY, version % kept)


@dataclass(frozen=True, slots=True)
class Published:
    """An adapter on the topic."""

    version: int  # of the publication, rising
    record: AdapterRecord  # of the weights; an older one where the candidate was held back
    decision: str  # promoted, held, …: see models.promotion
    why: str
    candidate: str  # the name of what was learnt by then, whether it serves or not
    made_at_ms: int
    offset: int
    nbytes: int
    headers: tuple[tuple[str, bytes | None], ...]
    value: bytes | None = None

    @property
    def name(self) -> str:
        return self.record.name


@dataclass(frozen=True, slots=True)
class Adapters:
    """All of the topic, oldest first."""

    published: tuple[Published, ...]
    pinned: Published | None = None
    pin: Mapping[str, Any] | None = None

    @property
    def serving(self) -> Published | None:
        """What recommenders use."""
        return self.pinned or (self.published[-1] if self.published else None)

    def named(self, name: str) -> Published:
        """The last publication of these weights; AdapterError where there is none."""
        for one in reversed(self.published):
            if name == one.name:
                return one
        known = ", ".join(dict.fromkeys(one.name for one in self.published[-5:])) or "none at all"
        raise AdapterError(f"no adapter on the topic is called {name!r}; the last ones are {known}")


def read_adapters(records: Iterable[LogRecord], *, values: bool = False) -> Adapters:
    """What lies on the topic; records that are no adapters of this version are passed over. `values`: keep the
    weights too."""
    published: list[Published] = []
    pinned, pin = None, None
    for record in records:
        if record.key == PIN_KEY:
            pinned, pin = parsed(record, values=values), _json(record, PIN_HEADER)
        elif (one := parsed(record, values=values)) is not None:
            published.append(one)
    return Adapters(tuple(published), pinned, pin)


def parsed(record: LogRecord, *, values: bool) -> Published | None:
    """The adapter in a record, or None."""
    serving = _json(record, SERVING_HEADER)
    if record.value is None or serving is None or "record" not in serving:
        return None
    try:
        promotion = serving["promotion"]
        return Published(
            version=int(serving["version"]),
            record=AdapterRecord.from_json(serving["record"]),
            decision=str(promotion["decision"]),
            why=str(promotion["why"]),
            candidate=str(promotion["candidate"]),
            made_at_ms=int(serving["made_at"]),
            offset=record.offset,
            nbytes=len(record.value),
            headers=record.headers,
            value=record.value if values else None,
        )
    except (AdapterError, KeyError, TypeError, ValueError, OverflowError):
        return None


def pin_record(target: Published, *, topic: str, reason: str, at_ms: int) -> Record:
    """The pointer to `target`, which must have its value."""
    if target.value is None:
        raise ValueError(f"{target.name} was read without its weights")
    told = json.dumps({"name": target.name, "reason": reason, "at_ms": at_ms}).encode()
    return Record(topic, PIN_KEY, target.value, headers=(*target.headers, (PIN_HEADER, told)))


def release_record(*, topic: str) -> Record:
    """Takes the pointer away."""
    return Record(topic, PIN_KEY, None)


def _json(record: LogRecord, header: str) -> dict[str, Any] | None:
    try:
        told = json.loads(dict(record.headers)[header] or b"")
    except (KeyError, ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) else None
