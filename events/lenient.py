"""The second look at a record that the fast path refused: event by event, with a reason for each refusal.

It also understands what the fast path leaves out: ISO 8601 times, whole numbers written as floats, and
CloudEvents headers.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from msgspec import DecodeError, Meta, Raw, ValidationError, convert
from msgspec.json import Decoder

from events.errors import BadEvent, Reason
from events.explain import explain, unparsable
from events.limits import MAX_EVENTS
from events.rescue import split_envelope
from events.rules import TIME_EXPECTED, first_bad_id, id_error, time_error, wrong_key
from events.topics import TOPIC_OF, Topic, events_on
from events.types import STRUCT_OF, AnyUserEvent, CatalogueItem

_CLOUD_EVENTS = {"ce_id": "event_id", "ce_time": "occurred_at", "ce_subject": "user_id"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_AWARE: Any = Annotated[datetime, Meta(tz=True)]
_UNPARSABLE = (DecodeError, UnicodeDecodeError, RecursionError)

_any = Decoder()
_fields = Decoder(dict[str, Raw])
_elements = Decoder(list[Raw])

Outcome = AnyUserEvent | BadEvent


def decode(
    raw: bytes, *, topic: Topic, now_ms: int, key: bytes | None, headers: Iterable[tuple[str, bytes | None]]
) -> list[tuple[bytes, Outcome]]:
    """Each event of the record, as its bytes and what they mean. A record refused whole is one outcome."""
    try:
        parts = _parts_of(raw)
        if parts is None:
            attributes = _cloud_attributes(headers)
            return [(raw, _outcome(raw, topic=topic, now_ms=now_ms, key=key, attributes=attributes))]
        return [(part, _outcome(part, topic=topic, now_ms=now_ms, key=None, attributes={})) for part in parts]
    except BadEvent as error:
        return [(raw, error)]


def decode_item(raw: bytes, *, now_ms: int, key: bytes | None) -> CatalogueItem:
    """The catalogue item in `raw`, or BadEvent."""
    fields = _object(raw)
    name = fields.setdefault("event", "item")
    _check_name(name, topic=Topic.ITEMS)
    _coerce(fields)
    try:
        item = convert(fields, CatalogueItem)
    except ValidationError as error:
        raise explain(error, fields) from error
    problem = (
        id_error(item.item_id, path="$.item_id")
        or time_error(item.occurred_at, now_ms=now_ms)
        or wrong_key(key, identifier=item.item_id, path="$.item_id")
    )
    if problem is not None:
        raise problem
    return item


def _parts_of(raw: bytes) -> list[bytes] | None:
    """The bytes of each event of an envelope; None when the record is not an envelope."""
    try:
        fields = _fields.decode(raw)
        if "events" not in fields or "event" in fields:
            return None
        parts = [bytes(part) for part in _elements.decode(fields["events"])[: MAX_EVENTS + 1]]
    except ValidationError:
        value = _object(raw)
        if "events" not in value or "event" in value:
            return None
        raise BadEvent(
            Reason.WRONG_TYPE, received=repr(value["events"]), expected="a list of events", path="$.events"
        ) from None
    except _UNPARSABLE as error:
        rescued = split_envelope(raw, limit=MAX_EVENTS)
        if rescued is None:
            raise unparsable(error, raw) from error
        parts = rescued
    if not parts:
        raise BadEvent(Reason.EMPTY, received="[]", expected="at least one event", path="$.events")
    if len(parts) > MAX_EVENTS:
        raise BadEvent(
            Reason.TOO_MANY_EVENTS,
            received=f"more than {MAX_EVENTS} events",
            expected=f"at most {MAX_EVENTS} events in a record",
            path="$.events",
        )
    return parts


def _outcome(
    raw: bytes, *, topic: Topic, now_ms: int, key: bytes | None, attributes: dict[str, str]
) -> Outcome:
    try:
        fields = _object(raw)
        for field, value in attributes.items():
            if fields.get(field) is None:
                fields[field] = value
        name = _check_name(fields.get("event"), topic=topic)
        _coerce(fields)
        try:
            event: AnyUserEvent = convert(fields, STRUCT_OF[name])
        except ValidationError as error:
            raise explain(error, fields) from error
    except BadEvent as error:
        return error
    return (
        first_bad_id(event)
        or time_error(event.occurred_at, now_ms=now_ms)
        or wrong_key(key, identifier=event.user_id, path="$.user_id")
        or event
    )


def _object(raw: bytes) -> dict[str, Any]:
    try:
        value = _any.decode(raw)
    except _UNPARSABLE as error:
        raise unparsable(error, raw) from error
    if not isinstance(value, dict):
        raise BadEvent(Reason.WRONG_TYPE, received=repr(value), expected="a JSON object")
    return value


def _check_name(name: object, *, topic: Topic) -> str:
    if isinstance(name, str) and TOPIC_OF.get(name) is topic:
        return name
    allowed = " or ".join(events_on(topic))
    if name is None:
        raise BadEvent(Reason.MISSING_FIELD, received="no event name", expected=allowed, path="$.event")
    if not isinstance(name, str):
        raise BadEvent(Reason.WRONG_TYPE, received=repr(name), expected=allowed, path="$.event")
    home = TOPIC_OF.get(name)
    if home is None:
        raise BadEvent(Reason.UNKNOWN_EVENT, received=repr(name), expected=allowed, path="$.event")
    raise BadEvent(
        Reason.WRONG_TOPIC,
        received=f"{name!r} on topic {topic}",
        expected=f"{allowed} here; {name} belongs on {home}",
        path="$.event",
    )


def _coerce(fields: dict[str, Any]) -> None:
    """Bring times to epoch milliseconds and whole floats to integers, in place."""
    time = fields.get("occurred_at")
    if isinstance(time, str):
        fields["occurred_at"] = _epoch_ms(time)
    _make_whole(fields, "occurred_at", "slot")
    items = fields.get("items")
    if isinstance(items, list):
        for item in items:
            if isinstance(item, dict):
                _make_whole(item, "quantity", "index")


def _make_whole(fields: dict[str, Any], *names: str) -> None:
    for name in names:
        value = fields.get(name)
        if isinstance(value, float) and value.is_integer():
            fields[name] = int(value)


def _epoch_ms(text: str) -> int:
    try:
        moment: datetime = convert(text, _AWARE)
    except ValidationError as error:
        raise BadEvent(
            Reason.BAD_TIME, received=repr(text), expected=TIME_EXPECTED, path="$.occurred_at"
        ) from error
    return (moment - _EPOCH) // _MILLISECOND


def _cloud_attributes(headers: Iterable[tuple[str, bytes | None]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in headers:
        field = _CLOUD_EVENTS.get(name)
        if field is None or value is None:
            continue
        try:
            found[field] = value.decode()
        except UnicodeDecodeError as error:
            raise BadEvent(
                Reason.NOT_UTF8, received=repr(value), expected="UTF-8", path=f"headers.{name}"
            ) from error
    return found
