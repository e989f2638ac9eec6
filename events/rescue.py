"""Splits an envelope that is not quite JSON into its events, so that one broken event loses no other.

Common clients write two things that JSON does not have: NaN for a missing price, and half a surrogate pair
where a name was cut in the middle of an emoji. The standard library's scanner reads over both, so it can say
where each event ends; each is then judged by itself.
"""

from json import JSONDecodeError, JSONDecoder
from json.decoder import WHITESPACE, scanstring  # type: ignore[attr-defined]

_scanner = JSONDecoder(strict=False)


def split_envelope(raw: bytes, *, limit: int) -> list[bytes] | None:
    """The bytes of each element of the top-level array `events`, of the first `limit` + 1 where there are more;
    None when there is none to be found, or when the record is a single event.

    >>> split_envelope(b'{"events": [{"price": NaN}, {"price": 2}]}', limit=10)
    [b'{"price": NaN}', b'{"price": 2}']
    """
    text = raw.decode("utf-8", "surrogateescape")
    try:
        spans = _event_spans(text, limit=limit)
    except (ValueError, IndexError, RecursionError):
        return None
    if spans is None:
        return None
    return [text[start:end].encode("utf-8", "surrogateescape") for start, end in spans]


def _event_spans(text: str, *, limit: int) -> list[tuple[int, int]] | None:
    """(start, end) of each element; ValueError or IndexError where the text is broken beyond reading."""
    spans: list[tuple[int, int]] | None = None
    at = _skip(text, _expect(text, _skip(text, 0), "{"))
    while True:
        name, at = scanstring(text, _expect(text, at, '"'), False)
        at = _skip(text, _expect(text, _skip(text, at), ":"))
        if name == "event":
            return None
        if name == "events":
            spans, at = _elements(text, _expect(text, at, "["), limit=limit)
            if len(spans) > limit:
                return spans
        else:
            at = _scanner.raw_decode(text, at)[1]
        at = _skip(text, at)
        if text[at] == "}":
            if _skip(text, at + 1) != len(text):
                raise JSONDecodeError("trailing characters", text, at + 1)
            return spans
        at = _skip(text, _expect(text, at, ","))


def _elements(text: str, at: int, *, limit: int) -> tuple[list[tuple[int, int]], int]:
    spans: list[tuple[int, int]] = []
    at = _skip(text, at)
    if text[at] == "]":
        return spans, at + 1
    while True:
        end = _scanner.raw_decode(text, at)[1]
        spans.append((at, end))
        at = _skip(text, end)
        if text[at] == "]":
            return spans, at + 1
        if len(spans) > limit:
            return spans, at
        at = _skip(text, _expect(text, at, ","))


def _expect(text: str, at: int, character: str) -> int:
    if text[at] != character:
        raise JSONDecodeError(f"expected {character}", text, at)
    return at + 1


def _skip(text: str, at: int) -> int:
    end: int = WHITESPACE.match(text, at).end()
    return end
