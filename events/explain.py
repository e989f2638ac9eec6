"""What a decoder's refusal means in the contract's words: reason, path, received, expected."""

import re
from typing import Any

from msgspec import ValidationError

from events.errors import BadEvent, Reason
from events.limits import EARLIEST_MS, MAX_DEPTH, MAX_ITEMS, MAX_MONEY, MAX_PLACE, MAX_QUANTITY, MAX_VECTOR
from events.rules import ID_EXPECTED, TIME_EXPECTED

_MISSING = re.compile(r"missing required field `(\w+)`")
_STEP = re.compile(r"\.(\w+)|\[(\d+)\]")
_IDS = frozenset({"event_id", "user_id", "session_id", "rec_id", "item_id", "transaction_id"})
_MONEY = f"a number from 0 to {MAX_MONEY:.0f}"
_EXPECTED = {
    "occurred_at": f"{TIME_EXPECTED}, not before {EARLIEST_MS}",
    "quantity": f"a whole number from 1 to {MAX_QUANTITY}",
    "price": _MONEY,
    "value": _MONEY,
    "items": f"a list of 1 to {MAX_ITEMS} items",
    "image_vector": f"a list of 1 to {MAX_VECTOR} numbers",
    "index": f"a whole number from 0 to {MAX_PLACE}",
    "slot": f"a whole number from 0 to {MAX_PLACE}",
    "currency": "an ISO 4217 code of three letters",
    "availability": "in_stock, out_of_stock, preorder, backorder or discontinued",
}


def explain(error: ValidationError, fields: dict[str, Any]) -> BadEvent:
    """The contract's error for msgspec's `error` about `fields`, the decoded JSON object."""
    what, path = _taken_apart(str(error))
    missing = _MISSING.search(what)
    if missing:
        name = missing[1]
        reason = Reason.NO_ITEMS if name == "items" else Reason.MISSING_FIELD
        holder = value_at(fields, path=path)
        received = f"only {', '.join(map(str, holder))}" if holder else "an empty object"
        return BadEvent(reason, received=received, expected=_expected(name, what), path=f"{path}.{name}")
    steps = _STEP.findall(path)
    name = next((field for field, _ in reversed(steps) if field), "")
    value = value_at(fields, path=path)
    received = f"{len(value)} items" if name == "items" and isinstance(value, list) else repr(value)
    return BadEvent(_reason(what, name, value), received=received, expected=_expected(name, what), path=path)


def _taken_apart(text: str) -> tuple[str, str]:
    """What msgspec says is wrong, and where: `what - at `path``. It repeats a wrong value word for word, so the
    last of these marks is its own."""
    what, mark, path = text.rpartition(" - at `")
    return (what, path.removesuffix("`")) if mark else (text, "$")


def nested_too_deep(raw: bytes) -> BadEvent:
    """The error of a record that `events.nesting.too_deep` is true of."""
    return BadEvent(
        Reason.TOO_DEEP, received=repr(raw[:60]), expected=f"JSON nested at most {MAX_DEPTH} deep"
    )


def unparsable(error: Exception, raw: bytes) -> BadEvent:
    """The error of bytes that are not JSON, or not JSON that the decoder can hold."""
    if isinstance(error, UnicodeDecodeError):
        return BadEvent(Reason.NOT_UTF8, received=repr(raw[:60]), expected="JSON in UTF-8")
    if isinstance(error, RecursionError):
        return nested_too_deep(raw)
    if isinstance(error, ValidationError):
        return BadEvent(
            Reason.BAD_NUMBER, received=repr(raw[:60]), expected="numbers that fit a 64-bit float"
        )
    return BadEvent(Reason.NOT_JSON, received=repr(raw[:60]), expected=f"one JSON object ({error})")


def value_at(fields: Any, *, path: str) -> Any:
    """What stands at a msgspec path such as `$.items[0].price`; None where there is nothing.

    >>> value_at({"items": [{"price": -1}]}, path="$.items[0].price")
    -1
    """
    value = fields
    for field, index in _STEP.findall(path):
        if field and isinstance(value, dict):
            value = value.get(field)
        elif index and isinstance(value, list) and int(index) < len(value):
            value = value[int(index)]
        else:
            return None
    return value


def _reason(what: str, name: str, value: object) -> Reason:
    if ", got `" in what:
        return Reason.WRONG_TYPE
    if name == "items":
        return Reason.TOO_MANY_ITEMS if value else Reason.NO_ITEMS
    if name in _IDS:
        return Reason.BAD_ID
    if name == "occurred_at":
        return Reason.TIME_OUT_OF_RANGE
    if isinstance(value, int | float):
        return Reason.BAD_NUMBER
    return Reason.BAD_VALUE


def _expected(name: str, what: str) -> str:
    if name in _IDS:
        return ID_EXPECTED
    return _EXPECTED.get(name, what[:1].lower() + what[1:])
