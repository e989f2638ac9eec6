"""A filter as SQL writes it, `event = 'purchase' AND is_product`, over the columns of a table; never evaluated.

    condition := conjunction (OR conjunction)*
    conjunction := term (AND term)*
    term := NOT term | ( condition ) | COLUMN [= != <> < <= > >= LITERAL | [NOT] IN (LITERAL, …) | IS [NOT] NULL]
    LITERAL := 'text' | number | TRUE | FALSE

A column by itself must hold booleans. Names with odd characters stand in double quotes, and a quote within a
text is doubled. As in SQL, a comparison with null is never true.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from load.errors import BadStream

_TOKEN = re.compile(
    r"""\s*(?:(?P<text>'(?:[^']|'')*')|(?P<quoted>"[^"]+")|(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"""
    r"""|(?P<word>[^\W\d]\w*)|(?P<sign><=|>=|!=|<>|==|=|<|>|\(|\)|,))"""
)
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "=": lambda a, b: a == b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<>": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}
_KEYWORDS = ("AND", "OR", "NOT", "IN", "IS", "NULL", "TRUE", "FALSE")


@dataclass(frozen=True, slots=True)
class Condition:
    """One part of a filter: the columns that it names, and itself over a table that has them."""

    columns: frozenset[str]
    expression: Any  # pyarrow.compute.Expression


@dataclass(frozen=True, slots=True)
class Where:
    """A whole filter: all `parts` must hold."""

    text: str
    parts: tuple[Condition, ...] = ()

    @property
    def columns(self) -> frozenset[str]:
        """Every column that it names."""
        return frozenset[str]().union(*(part.columns for part in self.parts))

    def within(self, present: frozenset[str]) -> "Where":
        """The parts that name only columns `present`: what the filter says of another table."""
        return Where(self.text, tuple(part for part in self.parts if part.columns <= present))

    def apply(self, table: pa.Table) -> pa.Table:
        """The rows for which all parts hold; BadStream where types do not fit."""
        for part in self.parts:
            try:
                table = table.filter(part.expression)
            except pa.ArrowException as error:
                raise BadStream(f"--where {self.text!r} does not fit the columns' types: {error}") from error
        return table


def parse_where(text: str, *, meanings: Mapping[str, str] | None = None) -> Where:
    """The filter that `text` writes; an empty text keeps everything.

    `meanings` gives the file's column for names that the file may call otherwise (user, item, …).

    >>> sorted(parse_where("event = 'purchase' AND (qty >= 2 OR is_product)").columns)
    ['event', 'is_product', 'qty']

    Raises BadStream, with the place, for anything else.
    """
    if not text.strip():
        return Where(text)
    return Where(text, tuple(_Parser(text, meanings=meanings or {}).whole()))


class _Parser:
    def __init__(self, text: str, *, meanings: Mapping[str, str]) -> None:
        self._text = text
        self._meanings = meanings
        self._tokens: list[tuple[str, str, int]] = []  # kind, text, place
        at = 0
        end = len(text.rstrip())
        while at < end:
            found = _TOKEN.match(text, at)
            if found is None:
                rest = text[at:].lstrip()
                place = len(text) - len(rest)
                raise BadStream(f"--where {text!r}: cannot read {rest[:20]!r} at character {place}")
            kind = str(found.lastgroup)
            self._tokens.append((kind, found.group(kind), found.start(kind)))
            at = found.end()
        self._at = 0

    def whole(self) -> list[Condition]:
        parts = [self._term()]
        while self._take("AND"):
            parts.append(self._term())
        while self._take("OR"):
            parts = [_either(_all(parts), self._conjunction())]
        if self._at < len(self._tokens):
            raise self._expected("AND, OR or the end")
        return parts

    def _condition(self) -> Condition:
        found = self._conjunction()
        while self._take("OR"):
            found = _either(found, self._conjunction())
        return found

    def _conjunction(self) -> Condition:
        parts = [self._term()]
        while self._take("AND"):
            parts.append(self._term())
        return _all(parts)

    def _term(self) -> Condition:
        if self._take("NOT"):
            inner = self._term()
            return Condition(inner.columns, ~inner.expression)
        if self._take("("):
            inner = self._condition()
            self._need(")")
            return inner
        kind, text, _ = self._next("a column")
        if kind not in ("word", "quoted") or text.upper() in _KEYWORDS:
            self._at -= 1
            raise self._expected("a column")
        name = text.strip('"')
        name = self._meanings.get(name, name)
        return Condition(frozenset((name,)), self._comparison(pc.field(name)))

    def _comparison(self, field: Any) -> Any:
        if self._take("IS"):
            negated = self._take("NOT")
            self._need("NULL")
            return ~field.is_null() if negated else field.is_null()
        negated = self._take("NOT")
        if negated or self._peek() == "IN":
            self._need("IN")
            self._need("(")
            values = [self._literal()]
            while self._take(","):
                values.append(self._literal())
            self._need(")")
            among = field.isin(values)
            return ~among & field.is_valid() if negated else among
        sign = self._peek()
        if sign in _COMPARE:
            self._at += 1
            return _COMPARE[sign](field, self._literal())
        return field

    def _literal(self) -> Any:
        kind, text, _ = self._next("a value")
        if kind == "text":
            return text[1:-1].replace("''", "'")
        if kind == "number":
            return float(text) if any(sign in text for sign in ".eE") else int(text)
        if text.upper() in ("TRUE", "FALSE"):
            return text.upper() == "TRUE"
        self._at -= 1
        raise self._expected("a value ('text', a number, TRUE or FALSE)")

    def _peek(self) -> str:
        """The next word in upper case, or sign; "" at the end and for texts and numbers."""
        if self._at == len(self._tokens):
            return ""
        kind, text, _ = self._tokens[self._at]
        return text.upper() if kind in ("word", "sign") else ""

    def _take(self, wanted: str) -> bool:
        found = self._peek() == wanted
        self._at += found
        return found

    def _need(self, wanted: str) -> None:
        if not self._take(wanted):
            raise self._expected(wanted)

    def _next(self, wanted: str) -> tuple[str, str, int]:
        if self._at == len(self._tokens):
            raise self._expected(wanted)
        self._at += 1
        return self._tokens[self._at - 1]

    def _expected(self, wanted: str) -> BadStream:
        if self._at == len(self._tokens):
            return BadStream(f"--where {self._text!r}: expected {wanted} after the end")
        _, text, place = self._tokens[self._at]
        return BadStream(f"--where {self._text!r}: expected {wanted}, not {text!r} at character {place}")


def _all(parts: list[Condition]) -> Condition:
    found = parts[0]
    for part in parts[1:]:
        found = Condition(found.columns | part.columns, found.expression & part.expression)
    return found


def _either(left: Condition, right: Condition) -> Condition:
    return Condition(left.columns | right.columns, left.expression | right.expression)
