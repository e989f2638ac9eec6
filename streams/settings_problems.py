"""Says in words what is wrong with settings: the value received, where it came from, and what is allowed."""

import re
from collections.abc import Iterable, Mapping
from difflib import SequenceMatcher, get_close_matches
from typing import Any
from urllib.parse import parse_qsl, unquote

from pydantic import ValidationError

_SECRET_WORDS = ("password", "secret")
_TYPO_LETTERS = 2  # one left out, one too many, one for another, two swapped
_QUERY_PASSWORD = re.compile(r"([?&]password=)[^&#]*")


def validation_problems(error: ValidationError, *, origins: Mapping[str, str]) -> list[str]:
    """One line for each thing pydantic refused; `origins` maps `group.field` to where its value came from."""
    return [_problem(detail, origins=origins) for detail in error.errors(include_url=False)]


def unknown_key(name: str, *, origin: str, known: Iterable[str]) -> str:
    """One line for a setting that doesn't exist, with the known one that is spelt most like it."""
    close = get_close_matches(name, list(known), n=1, cutoff=0.5)
    hint = f"; did you mean {close[0]}?" if close else ""
    return f"{name} ({origin}): no such setting{hint}"


def misspelling_of(name: str, *, known: Iterable[str]) -> str | None:
    """The known name that `name` is but for a letter or two, if it is none itself.

    >>> misspelling_of("PARTITONS", known=["PARTITIONS"]), misspelling_of("NUM_PARTITIONS", known=["PARTITIONS"])
    ('PARTITIONS', None)
    """
    near = min(known, key=lambda other: _letters_apart(name, other), default=name)
    return near if 0 < _letters_apart(name, near) <= _TYPO_LETTERS else None


def masked_url(text: str) -> str:
    """The text, without the passwords if it is a URL, or meant as one, that has some.

    >>> masked_url("redis://app:hunter2@cache:6379/0")
    'redis://app:****@cache:6379/0'
    >>> masked_url("redis://cache?password=hunter2&db=1"), masked_url("app:hunter2@cache")
    ('redis://cache?password=****&db=1', 'app:****@cache')
    """
    hidden = _QUERY_PASSWORD.sub(r"\1****", text)
    credentials, at, host = hidden.rpartition("@")
    scheme, separator, rest = credentials.rpartition("://")
    if not at or not (separator or ":" in rest):
        return hidden
    return f"{scheme}{separator}{rest.split(':', 1)[0]}:****@{host}"


def url_passwords(url: str) -> set[str]:
    """The passwords in a URL, as they stand there and decoded.

    >>> sorted(url_passwords("redis://app:a%40b@cache/0?password=c"))
    ['a%40b', 'a@b', 'c']
    """
    _, _, rest = url.partition("://")
    credentials, _, place = rest.rpartition("@")
    password = credentials.partition(":")[2]
    asked = [value for name, value in parse_qsl(place.partition("?")[2]) if name == "password"]
    return {password, unquote(password), *asked} - {""}


def _letters_apart(one: str, other: str) -> int:
    """Letters of either that the other lacks, in order."""
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    return len(one) + len(other) - 2 * sum(block.size for block in matcher.get_matching_blocks())


def _problem(detail: Any, *, origins: Mapping[str, str]) -> str:
    name = ".".join(str(part) for part in detail["loc"])
    where = f" ({origins[name]})" if name in origins else ""
    context = detail.get("ctx", {})
    if detail["type"] == "value_error":  # raised by our own validators, which name the values themselves
        return f"{name}{where}: {context['error']}"
    secret = any(word in name.rsplit(".", 1)[-1] for word in _SECRET_WORDS)
    received = "a secret" if secret else masked_url(repr(detail["input"]))
    return f"{name}{where}: received {received}; {_allowed(detail['type'], context, message=detail['msg'])}"


def _allowed(kind: str, context: Mapping[str, Any], *, message: str) -> str:
    match kind:
        case "literal_error":
            return f"allowed: {context['expected']}"
        case "greater_than_equal":
            return f"allowed: {context['ge']} or more"
        case "greater_than":
            return f"allowed: more than {context['gt']}"
        case "less_than_equal":
            return f"allowed: {context['le']} or less"
        case "int_parsing" | "int_type" | "int_from_float":
            return "allowed: a whole number"
        case "float_parsing" | "float_type":
            return "allowed: a number"
        case "bool_parsing" | "bool_type":
            return "allowed: true or false"
        case "refused":  # by our own validators, whose message says what is expected
            return message
        case "string_pattern_mismatch":
            return f"allowed: text that matches {context['pattern']}"
        case _:
            return message
