"""What is known of each item beside its events: fixed arrays by item row, shared by sources and ranker."""

import numpy as np
from numpy.typing import NDArray

from events.ids import stable_hash
from index.snapshot import copied, fill
from index.sources.array_folder import pack_strings, unpack_strings
from index.sources.base import Limits


def short_hash(label: str | None) -> int:
    """A positive 31-bit hash of a category or brand; 0 for none.

    >>> short_hash(None), short_hash(""), short_hash("mugs") == short_hash("mugs") > 0
    (0, 0, True)
    """
    return (stable_hash(label) & 0x7FFF_FFFF) or 1 if label else 0


class Catalogue:
    """Side data by item row, in arrays of N = `limits.items` rows allocated once. Row 0 is padding.

    An item may be known from events before its record comes (`seen`), from its record before any event
    (`upsert`), and gets its text vector later still (`set_vectors`): each fills in what it knows.
    A price of 0 means unknown; a first_ms of 0 means that the row is free.
    """

    def __init__(self, limits: Limits, *, dim: int = 384) -> None:
        rows = limits.items
        self.dim = dim
        self.vectors = np.zeros((rows, dim), np.float16)  # unit length; zeros where there is no text yet
        self.hashes = np.zeros(rows, np.int64)  # stable_hash of the item id
        self.price = np.zeros(rows, np.float32)
        self.category = np.zeros(rows, np.int32)  # short_hash
        self.topic = np.zeros(rows, np.int32)  # group of alike texts (text_groups.py); 0 without text
        self.brand = np.zeros(rows, np.int32)  # short_hash
        self.first_ms = np.zeros(rows, np.int64)  # first record or first event, whichever is earlier
        self.available = np.ones(rows, np.bool_)
        self.removed = np.zeros(rows, np.bool_)
        self.consumable = np.zeros(rows, np.bool_)  # may be recommended again once bought
        self.has_text = np.zeros(rows, np.bool_)  # has a vector
        self.ids = [""] * rows
        self.titles = [""] * rows

    def seen(
        self, rows: NDArray[np.int32], *, hashes: NDArray[np.int64], times_ms: NDArray[np.int64]
    ) -> NDArray[np.int32]:
        """Note items met in events, (E,) rows, hashes and event times in log order; the rows new to it.

        A row known from before keeps what it has.
        """
        fresh = np.flatnonzero((self.first_ms[rows] == 0) & (rows != 0))
        new, first = np.unique(rows[fresh], return_index=True)
        self.hashes[new] = hashes[fresh[first]]
        self.first_ms[new] = np.maximum(times_ms[fresh[first]], 1)
        return new

    def upsert(
        self,
        row: int,
        *,
        item_id: str,
        first_ms: int,
        title: str = "",
        price: float | None = None,
        available: bool = True,
        category: str | None = None,
        brand: str | None = None,
        consumable: bool = False,
    ) -> None:
        """Take a catalogue record for this row; a removed item comes back.

        ValueError for row 0 or a bad price.
        """
        self._check_row(row)
        if price is not None and not 0 <= price < float("inf"):
            raise ValueError(f"price of {item_id!r} is {price}; it must be finite and at least 0")
        self.hashes[row] = stable_hash(item_id)
        known = int(self.first_ms[row])
        self.first_ms[row] = min(known, first_ms) if known else max(first_ms, 1)
        self.price[row] = price or 0.0
        self.available[row] = available
        self.removed[row] = False
        self.category[row] = short_hash(category)
        self.brand[row] = short_hash(brand)
        self.consumable[row] = consumable
        self.ids[row] = item_id
        self.titles[row] = title

    def set_vectors(self, rows: NDArray[np.int32], vectors: NDArray[np.float32]) -> None:
        """Take the text vectors (R, D) of these rows (R,), scaled to unit length; zeros take the text away.

        ValueError for another D, for NaN or infinity, and for row 0.
        """
        if vectors.shape != (len(rows), self.dim):
            raise ValueError(f"vectors have shape {vectors.shape}; expected {(len(rows), self.dim)}")
        if not np.isfinite(vectors).all():
            raise ValueError("vectors hold NaN or infinity; every value must be finite")
        for row in rows.tolist():
            self._check_row(row)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        self.vectors[rows] = vectors / np.maximum(lengths, 1e-12)
        self.has_text[rows] = lengths[:, 0] > 1e-12

    def remove(self, row: int) -> None:
        """The item was taken out of the shop: it keeps its row and its past, and is no longer proposed."""
        self._check_row(row)
        self.removed[row] = True

    def evict(self, rows: NDArray[np.int32]) -> None:
        """Forget these rows: they are about to stand for other items."""
        for column in self._columns().values():
            column[rows] = 0
        self.available[rows] = True
        for row in rows.tolist():
            self.ids[row] = self.titles[row] = ""

    def name(self, row: int, *, item_id: str) -> None:
        """Note the id of an item that only events have told of; its record, when it comes, has the say."""
        self.ids[row] = self.ids[row] or item_id

    def item_table(self) -> tuple[NDArray[np.float16], NDArray[np.int64]]:
        """Vectors (N, D) and hashes (N,): live views for the ranker, not copies."""
        return self.vectors, self.hashes

    def groups(self, items: NDArray[np.int32]) -> NDArray[np.int32]:
        """What kind of thing rows (of any shape) are: the category, above 0; without one minus the topic of the
        text; 0 where neither is known."""
        category = self.category[items]
        groups: NDArray[np.int32] = np.where(category > 0, category, -self.topic[items])
        return groups

    def snapshot(self) -> dict[str, NDArray[np.generic]]:
        """The whole state, as arrays that the catalogue does not share."""
        arrays = copied(self._columns())
        for name, strings in (("ids", self.ids), ("titles", self.titles)):
            arrays[name], arrays[f"{name}_ends"] = pack_strings(strings)
        return arrays

    def restore(self, arrays: dict[str, NDArray[np.generic]]) -> None:
        """Take `snapshot`'s arrays; SnapshotError when names, shapes or dtypes differ."""
        texts = {name: arrays[name] for name in arrays if name.split("_")[0] in ("ids", "titles")}
        columns = {name: arrays[name] for name in arrays if name not in texts}
        ids = unpack_strings(texts, name="ids", count=len(self.ids))
        titles = unpack_strings(texts, name="titles", count=len(self.titles))
        fill(self._columns(), columns, owner="catalogue")
        self.ids, self.titles = ids, titles

    def _columns(self) -> dict[str, NDArray[np.generic]]:
        names = ("vectors", "hashes", "price", "category", "topic", "brand", "first_ms")
        flags = ("available", "removed", "consumable", "has_text")
        return {name: getattr(self, name) for name in (*names, *flags)}

    def _check_row(self, row: int) -> None:
        if not 0 < row < len(self.hashes):
            raise ValueError(f"item row {row} is out of range; allowed: 1 to {len(self.hashes) - 1}")
