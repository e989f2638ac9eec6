"""The errors of events, and the root that every package's errors grow from.

HeadwaterError
├── WeakKey         the key of pseudonyms is too short (events/pseudonyms.py)
└── BadEvent        a record, or one event of an envelope, that breaks the contract
"""

from enum import StrEnum

from events.limits import MAX_EXPECTED_CHARS, MAX_PATH_CHARS, MAX_RECEIVED_CHARS


class HeadwaterError(Exception):
    """Anything that Headwater raises on purpose."""


class Reason(StrEnum):
    """Why an event was set aside. The codes are part of the contract: dead letters and metrics carry them."""

    EMPTY = "empty"  # no bytes, or an envelope without events
    TOO_LARGE = "too-large"  # more bytes than a record may have
    TOO_MANY_EVENTS = "too-many-events"  # of one envelope
    TOO_DEEP = "too-deep"  # JSON nested further than the decoder goes
    NOT_UTF8 = "not-utf8"
    NOT_JSON = "not-json"
    UNKNOWN_EVENT = "unknown-event"  # an `event` name that is not in the contract
    WRONG_TOPIC = "wrong-topic"  # a known event on another event's topic
    WRONG_KEY = "wrong-key"  # the record's key is not the user id (items: the item id)
    MISSING_FIELD = "missing-field"
    WRONG_TYPE = "wrong-type"
    BAD_TIME = "bad-time"  # text that is not ISO 8601 with an offset
    TIME_OUT_OF_RANGE = "time-out-of-range"
    BAD_ID = "bad-id"  # empty, too long, or with control characters
    BAD_NUMBER = "bad-number"  # out of range or not finite
    NO_ITEMS = "no-items"
    TOO_MANY_ITEMS = "too-many-items"
    BAD_VALUE = "bad-value"  # right type, but none of the allowed values


class BadEvent(HeadwaterError):
    """An event that is set aside: the reason, where, what was received and what was expected there.

    >>> print(BadEvent(Reason.BAD_ID, received="''", expected="1 to 256 characters", path="$.user_id"))
    bad-id at $.user_id: received '', expected 1 to 256 characters
    """

    def __init__(self, reason: Reason, *, received: str, expected: str, path: str = "$") -> None:
        self.reason = reason
        self.received = _cut(received, MAX_RECEIVED_CHARS)
        self.expected = _cut(expected, MAX_EXPECTED_CHARS)
        self.path = _cut(path, MAX_PATH_CHARS)
        super().__init__(f"{reason} at {self.path}: received {self.received}, expected {self.expected}")


def _cut(text: str, chars: int) -> str:
    return text if len(text) <= chars else text[: chars - 1] + "…"
