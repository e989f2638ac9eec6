"""What a valid event must hold beyond its fields' types and bounds: ids without control characters, a time
that has come, a key that is the user's."""

import re

from events.errors import BadEvent, Reason
from events.limits import AHEAD_MS, EARLIEST_MS, MAX_ID_CHARS
from events.types import AnyUserEvent

ID_EXPECTED = f"a string of 1 to {MAX_ID_CHARS} characters without control characters"
TIME_EXPECTED = "epoch milliseconds, or ISO 8601 with an offset such as 2011-12-09T08:41:00Z"

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def may_hold_controls(raw: bytes) -> bool:
    """False only where no string of the JSON `raw` can hold a control character: raw ones below U+0020 are
    not JSON, so one must be escaped, or be DEL, or be non-ASCII (U+0080 to U+009F)."""
    return b"\\" in raw or b"\x7f" in raw or not raw.isascii()


def is_clean(identifier: str | None) -> bool:
    """True when the id has no control character (C0, DEL, C1), or when there is no id."""
    return identifier is None or identifier.isprintable() or _CONTROL.search(identifier) is None


def ids_are_clean(event: AnyUserEvent) -> bool:
    """True when no id of the event has a control character."""
    return (
        is_clean(event.event_id)
        and is_clean(event.user_id)
        and is_clean(event.session_id)
        and is_clean(event.rec_id)
        and all(is_clean(item.item_id) for item in event.items)
    )


def first_bad_id(event: AnyUserEvent) -> BadEvent | None:
    """The error of the event's first id with a control character."""
    if ids_are_clean(event):
        return None
    named = [
        ("$.event_id", event.event_id),
        ("$.user_id", event.user_id),
        ("$.session_id", event.session_id),
        ("$.rec_id", event.rec_id),
        *((f"$.items[{at}].item_id", item.item_id) for at, item in enumerate(event.items)),
    ]
    for path, identifier in named:
        problem = None if identifier is None else id_error(identifier, path=path)
        if problem is not None:
            return problem
    return None


def id_error(identifier: str, *, path: str) -> BadEvent | None:
    """The error of an id that is empty, too long, or has a control character."""
    if 1 <= len(identifier) <= MAX_ID_CHARS and is_clean(identifier):
        return None
    return BadEvent(Reason.BAD_ID, received=repr(identifier), expected=ID_EXPECTED, path=path)


def wrong_key(key: bytes | None, *, identifier: str, path: str) -> BadEvent | None:
    """The error of a record whose key is not the id at `path`; a record without a key has none."""
    if not key or key == identifier.encode():
        return None
    return BadEvent(
        Reason.WRONG_KEY, received=f"key {key!r}", expected=f"{path[2:]} {identifier!r} as the key", path=path
    )


def time_error(time_ms: int | None, *, now_ms: int) -> BadEvent | None:
    """The error of an `occurred_at` outside 2000-01-01 to a day ahead of `now_ms`."""
    if time_ms is None or EARLIEST_MS <= time_ms <= now_ms + AHEAD_MS:
        return None
    return BadEvent(
        Reason.TIME_OUT_OF_RANGE,
        received=str(time_ms),
        expected=f"{EARLIEST_MS} (2000-01-01) to {now_ms + AHEAD_MS} (a day ahead of the clock), in ms",
        path="$.occurred_at",
    )
