"""A catalogue file as item records: parquet or CSV with item and text, or JSONL of encoded items."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from events.codec import decode_item
from events.errors import BadEvent
from events.ids import ItemId
from events.limits import MAX_ID_CHARS
from events.types import CatalogueItem, Tombstone
from load.errors import BadStream

_LATEST_MS = 4_102_444_800_000
_ALIASES = {
    "item": ("item", "item_id", "itemid", "stock_code", "product_id"),
    "text": ("text", "item_name", "title", "name"),
    "price": ("price", "median_price", "unit_price"),
    "first_ts": ("first_ts", "occurred_at", "ts"),
    "category": ("category", "item_category"),
    "brand": ("brand", "item_brand"),
    "description": ("description",),
}
_TEXTS = ("item", "text", "category", "brand", "description")


def read_items(path: Path) -> list[CatalogueItem]:
    """The items of a catalogue file by the time they first appeared; those without a time come first.

    Columns: item (required), and text, price, first_ts (ms), category, brand, description where present. An
    item without a text is named by its id. BadStream where the file cannot be read.
    """
    if not path.is_file():
        raise BadStream(f"{path}: there is no such file")
    items = list(_encoded(path) if path.suffix.lower() in (".jsonl", ".ndjson") else _tabled(path))
    return sorted(items, key=lambda item: item.occurred_at or 0)


def _tabled(path: Path) -> Iterator[CatalogueItem]:
    try:
        table = _read_parquet(path) if path.suffix.lower() == ".parquet" else _read_csv(path)
    except (pa.ArrowException, OSError) as error:
        raise BadStream(f"{path}: cannot be read as a catalogue: {error}") from error
    found = {
        meaning: name
        for meaning, usual in _ALIASES.items()
        if (name := next((alias for alias in usual if alias in table.column_names), None)) is not None
    }
    if "item" not in found:
        raise BadStream(f"{path}: no item column; it has {', '.join(table.column_names)}")
    columns = {meaning: table.column(name).to_pylist() for meaning, name in found.items()}
    for at in range(table.num_rows):
        row: dict[str, Any] = {meaning: values[at] for meaning, values in columns.items()}
        if row["item"] is None or not 1 <= len(str(row["item"])) <= MAX_ID_CHARS:
            raise BadStream(f"{path}: row {at} has the item id {str(row['item'])[:80]!r}")
        item_id = str(row["item"])
        price = row.get("price")
        yield CatalogueItem(
            item_id=ItemId(item_id),
            item_name=row.get("text") or item_id,
            description=row.get("description"),
            item_brand=row.get("brand"),
            item_category=row.get("category"),
            price=price if price is not None and price >= 0 else None,
            occurred_at=row.get("first_ts"),
        )


def _read_parquet(path: Path) -> pa.Table:
    return pq.read_table(path)


def _read_csv(path: Path) -> pa.Table:
    """As text where the contract has text: the id 00123 is not the number 123."""
    texts = {name: pa.string() for meaning in _TEXTS for name in _ALIASES[meaning]}
    options = pa_csv.ConvertOptions(column_types=texts, strings_can_be_null=True)
    return pa_csv.read_csv(path, convert_options=options)


def _encoded(path: Path) -> Iterator[CatalogueItem]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                item = decode_item(line.strip(), now_ms=_LATEST_MS)
            except BadEvent as error:
                raise BadStream(f"{path}:{number}: {error}") from error
            if isinstance(item, Tombstone):
                raise BadStream(f"{path}:{number}: a removal has no place in a catalogue file")
            yield item
