"""A file of shop data as events in time order: parquet, CSV, or JSONL of already encoded events."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import xxhash
from msgspec import DecodeError, Struct
from msgspec.json import Decoder

from events.codec import decode
from events.ids import ItemId, UserId
from events.limits import MAX_ID_CHARS, MAX_ITEMS, MAX_MONEY, MAX_QUANTITY
from events.topics import TOPIC_OF, USER_TOPICS
from events.types import (
    AddToCart,
    AnyUserEvent,
    Item,
    Purchase,
    Refund,
    RemoveFromCart,
    SelectItem,
    ViewItem,
    ViewItemList,
)
from load.columns import Columns, ga4_name
from load.errors import BadStream
from load.tables import Row, rows_in_time_order
from load.times import LATEST_MS

MAX_ROWS_HELD = 200_000  # rows of one time that are grouped at once; beyond it a basket may be split
_NAME_SHOWN = 40
_EXPECTED = (
    "each line of JSONL must be an event as in docs/schema; rows with columns belong in CSV or parquet"
)
_STRUCTS: dict[str, Any] = {
    "view_item_list": ViewItemList,
    "select_item": SelectItem,
    "view_item": ViewItem,
    "add_to_cart": AddToCart,
    "remove_from_cart": RemoveFromCart,
    "purchase": Purchase,
    "refund": Refund,
}


class _Named(Struct):
    event: str


_name_of = Decoder(_Named)


class StreamReader:
    """The events of one file, once through, in time order, in bounded memory.

    The rows of one user, time and kind of event (and basket and session, where the file has them) are one
    event: a basket. Event ids are determined by the content, so that the same file gives the same ids. Rows
    without a user or an item, or of an unknown kind, are left out and counted in `skipped` by reason. A JSONL
    file gives its events as they are, in its own order.

    Iterating raises BadStream where the file cannot be read.
    """

    def __init__(self, path: Path, *, columns: Columns | None = None) -> None:
        self.path = path
        self.columns = columns or Columns()
        self.skipped: Counter[str] = Counter()

    def __iter__(self) -> Iterator[AnyUserEvent]:
        if not self.path.is_file():
            raise BadStream(f"{self.path}: there is no such file")
        if self.path.suffix.lower() in (".jsonl", ".ndjson"):
            yield from self._encoded_events()
            return
        rows = rows_in_time_order(self.path, columns=self.columns)
        for ts, same_time in groupby(rows, key=lambda row: row[0]):
            yield from self._events_at(ts, same_time)

    def nothing_left(self, *, skip: int = 0) -> BadStream:
        """The error of a file that was read to its end and had no event after the first `skip`."""
        left_out = ", ".join(f"{count:,} {reason}" for reason, count in sorted(self.skipped.items()))
        after = f" after the first {skip:,} events" if skip else ""
        return BadStream(
            f"{self.path}: no event is left{after} (rows left out: {left_out or 'none'}); the file may be empty"
        )

    def _events_at(self, ts: int, rows: Iterable[Row]) -> Iterator[AnyUserEvent]:
        baskets: dict[tuple[str, str, str | None, str | None], list[Item]] = {}
        parts: Counter[tuple[str, str, str | None, str | None]] = Counter()
        held = 0
        for _, user, item_id, kind, qty, price, basket, session, text in rows:
            name = self.columns.default_event if kind is None else ga4_name(kind)
            problem = _problem(user, item_id, name)
            if problem is not None or name is None:
                self.skipped[problem or "unknown event"] += 1
                continue
            key = (user, name, basket or None, session or None)
            baskets.setdefault(key, []).append(_item(item_id, qty=qty, price=price, text=text))
            held += 1
            if held >= MAX_ROWS_HELD or len(baskets[key]) >= MAX_ITEMS:
                yield from (_event(ts, key, parts, items) for key, items in baskets.items())
                baskets.clear()
                held = 0
        yield from (_event(ts, key, parts, items) for key, items in baskets.items())

    def _encoded_events(self) -> Iterator[AnyUserEvent]:
        with self.path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield from _decode_line(line.strip(), where=f"{self.path}:{number}")


def _problem(user: str | None, item_id: str | None, name: str | None) -> str | None:
    if not user:
        return "no user"
    if not item_id:
        return "no item"
    if name is None:
        return "unknown event"
    if len(user) > MAX_ID_CHARS or len(item_id) > MAX_ID_CHARS or not (user + item_id).isprintable():
        return "bad id"
    return None


def _item(item_id: str, *, qty: float | None, price: float | None, text: str | None) -> Item:
    """Shops write returns as negative quantities and leave prices out: the units are what counts."""
    units = 1 if qty is None or not math.isfinite(qty) else min(max(1, round(abs(qty))), MAX_QUANTITY)
    known = price is not None and math.isfinite(price) and 0 <= price <= MAX_MONEY
    return Item(
        item_id=ItemId(item_id), item_name=text or None, quantity=units, price=price if known else None
    )


def _event(
    ts: int,
    key: tuple[str, str, str | None, str | None],
    parts: Counter[tuple[str, str, str | None, str | None]],
    items: list[Item],
) -> AnyUserEvent:
    user, name, basket, session = key
    identity = f"{ts}\n{name}\n{basket or ''}\n{session or ''}\n{parts[key]}\n{user}"
    parts[key] += 1
    fields: dict[str, Any] = {"session_id": session}
    if name in ("purchase", "refund"):
        fields["transaction_id"] = basket
    event: AnyUserEvent = _STRUCTS[name](
        event_id=xxhash.xxh3_64_hexdigest(identity.encode()),
        occurred_at=ts,
        user_id=UserId(user),
        items=tuple(items),
        **fields,
    )
    return event


def _decode_line(line: bytes, *, where: str) -> list[AnyUserEvent]:
    try:
        name = _name_of.decode(line).event
    except (DecodeError, UnicodeDecodeError) as error:
        raise BadStream(f"{where}: {error}; {_EXPECTED}") from error
    topic = TOPIC_OF.get(name)
    if topic not in USER_TOPICS:
        raise BadStream(f"{where}: {name[:_NAME_SHOWN]!r} is not a shopper's event; {_EXPECTED}")
    decoded = decode(line, topic=topic, now_ms=LATEST_MS)
    if decoded.rejects:
        raise BadStream(f"{where}: {decoded.rejects[0].error}; {_EXPECTED}")
    return decoded.events
