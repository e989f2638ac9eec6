"""A record's bytes to events and back.

The fast path decodes a whole record into structs in one call and checks what the types cannot state. When
anything at all is wrong, `events.lenient` goes through the record again, event by event: it understands ISO
times and CloudEvents headers, keeps the good events of an envelope and says what is wrong with the others.
"""

from collections.abc import Iterable, Sequence
from typing import Annotated

from msgspec import UNSET, DecodeError, Meta, Struct, UnsetType
from msgspec.json import Decoder, Encoder

from events import lenient
from events.errors import BadEvent, Reason
from events.explain import nested_too_deep
from events.ids import ItemId
from events.limits import AHEAD_MS, MAX_EVENTS, MAX_RECORD_BYTES
from events.nesting import too_deep
from events.rules import id_error, ids_are_clean, may_hold_controls
from events.topics import USER_TOPICS, Topic, events_on
from events.types import STRUCT_OF, AnyUserEvent, CatalogueItem, Tombstone, UserEvent

Headers = Iterable[tuple[str, bytes | None]]

STRUCTS_ON: dict[Topic, frozenset[type[UserEvent]]] = {
    topic: frozenset(STRUCT_OF[name] for name in events_on(topic)) for topic in USER_TOPICS
}


class _Envelope(Struct, gc=False):
    events: Annotated[list[AnyUserEvent], Meta(max_length=MAX_EVENTS)]
    event: UnsetType = UNSET  # a record with `event` is one event, whatever else it has


class Reject(Struct, frozen=True):
    """One event that was set aside: its place in the envelope (0 for a single event or a whole record), why,
    and its own bytes. Only where an envelope as a whole is refused are they the whole record's."""

    index: int
    error: BadEvent
    raw: bytes


class Decoded(Struct, frozen=True):
    """What a record held, in its order."""

    events: list[AnyUserEvent]
    rejects: list[Reject]


_event = Decoder(AnyUserEvent)
_envelope = Decoder(_Envelope)
_item = Decoder(CatalogueItem)
_encoder = Encoder()
_REFUSED = (DecodeError, UnicodeDecodeError, RecursionError)


def decode(
    raw: bytes | None, *, topic: Topic, now_ms: int, key: bytes | None = None, headers: Headers = ()
) -> Decoded:
    """The events of a record of a shopper topic, and what had to be set aside. Never raises on bad input.

    `key` is the record's key: a single event's user id must equal it, for otherwise the record lies on a
    partition whose worker does not own the user. An envelope's key is not checked: it may hold several users
    of one partition. `headers` may supply, as CloudEvents attributes, what a single event leaves out:
    `ce_id` → event_id, `ce_time` → occurred_at, `ce_subject` → user_id.

    ValueError when `topic` is not a shopper topic.
    """
    structs = STRUCTS_ON.get(topic)
    if structs is None:
        raise ValueError(f"decode got topic {topic}; it takes one of {', '.join(STRUCTS_ON)}")
    if not raw:
        return Decoded([], [Reject(0, _empty("an event as JSON"), b"")])
    if len(raw) > MAX_RECORD_BYTES:
        return Decoded([], [Reject(0, _too_large(raw), raw)])
    if too_deep(raw):
        return Decoded([], [Reject(0, nested_too_deep(raw), raw)])
    try:
        if b'"events"' in raw[:24]:
            events: list[AnyUserEvent] = _envelope.decode(raw).events
            owner = None
        else:
            event = _event.decode(raw)
            events = [event]
            owner = event.user_id.encode() if key else None
        latest_ms = now_ms + AHEAD_MS
        fine = bool(events) and (owner is None or owner == key)
        for event in events:
            if event.occurred_at > latest_ms or event.__class__ not in structs:
                fine = False
                break
        if fine and (not may_hold_controls(raw) or all(map(ids_are_clean, events))):
            return Decoded(events, [])
    except _REFUSED:
        pass
    outcomes = lenient.decode(raw, topic=topic, now_ms=now_ms, key=key, headers=headers)
    good = [outcome for _, outcome in outcomes if not isinstance(outcome, BadEvent)]
    bad = [
        Reject(index, outcome, part)
        for index, (part, outcome) in enumerate(outcomes)
        if isinstance(outcome, BadEvent)
    ]
    return Decoded(good, bad)


def decode_item(raw: bytes | None, *, now_ms: int, key: bytes | None = None) -> CatalogueItem | Tombstone:
    """The catalogue item of a record of the items topic, or the removal that a null value under a key means.

    BadEvent otherwise, and when the key is not the item's id.
    """
    if raw is None:
        return Tombstone(item_id=_item_id_of(key))
    if not raw:
        raise _empty("an item as JSON, or a null value to remove the item that the key names")
    if len(raw) > MAX_RECORD_BYTES:
        raise _too_large(raw)
    if too_deep(raw):
        raise nested_too_deep(raw)
    try:
        item = _item.decode(raw)
    except _REFUSED:
        return lenient.decode_item(raw, now_ms=now_ms, key=key)
    late = item.occurred_at is not None and item.occurred_at > now_ms + AHEAD_MS
    if late or may_hold_controls(raw) or (key and key != item.item_id.encode()):
        return lenient.decode_item(raw, now_ms=now_ms, key=key)
    return item


def encode(event: AnyUserEvent | CatalogueItem) -> bytes:
    """The JSON of one event; `decode` gives the event back. Fields at their defaults are left out."""
    return _encoder.encode(event)


def encode_envelope(events: Sequence[AnyUserEvent]) -> bytes:
    """The JSON of one record with many events, all of users whose keys go to the same partition."""
    if not events:
        raise ValueError("encode_envelope got no events; an envelope needs at least one")
    return _encoder.encode({"events": events})


def _item_id_of(key: bytes | None) -> ItemId:
    if not key:
        raise _empty("an item as JSON, or a null value under the key of the item to remove")
    try:
        item_id = ItemId(key.decode())
    except UnicodeDecodeError as error:
        raise BadEvent(
            Reason.NOT_UTF8, received=repr(key), expected="an item id in UTF-8", path="key"
        ) from error
    problem = id_error(item_id, path="key")
    if problem is not None:
        raise problem
    return item_id


def _empty(expected: str) -> BadEvent:
    return BadEvent(Reason.EMPTY, received="no bytes", expected=expected)


def _too_large(raw: bytes) -> BadEvent:
    return BadEvent(
        Reason.TOO_LARGE, received=f"{len(raw)} bytes", expected=f"at most {MAX_RECORD_BYTES} bytes a record"
    )
