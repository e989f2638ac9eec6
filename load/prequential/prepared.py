"""A stream made ready once for all contenders, in a folder that each of their processes maps into memory."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import xxhash
from numpy.typing import NDArray

from events.types import CatalogueItem
from load.catalogue import read_items
from load.columns import Columns
from load.errors import BadStream
from load.prequential.contender import StreamInfo
from load.prequential.repeats import Repeats
from load.prequential.stream import Stream, read_stream, with_catalogue
from load.prequential.units import ProtocolConfig, Units, cut
from load.prequential.where import parse_where

_FORMAT = 2
_NO_TIME = np.iinfo(np.int64).max  # of an item that the catalogue does not have
ITEMS_FILE = "items.parquet"


@dataclass(frozen=True, slots=True)
class StreamConfig:
    """Which rows of which file, and what a unit of them is. `items`: a catalogue, as `read_items` reads it."""

    data: Path
    protocol: ProtocolConfig
    columns: Columns
    where: str = ""
    items: Path | None = None

    def key(self) -> str:
        """16 hex digits that stand for the content of the files and every option."""
        digest = xxhash.xxh3_64()
        options = {"format": _FORMAT, "protocol": asdict(self.protocol), "where": self.where}
        options["columns"] = {**asdict(self.columns), "renames": dict(self.columns.renames)}
        digest.update(json.dumps(options, sort_keys=True).encode())
        for path in (self.data, self.items):
            if path is None:
                continue
            if not path.is_file():
                raise BadStream(f"{path}: there is no such file")
            digest.update(path.suffix.lower().encode())
            with path.open("rb") as file:
                while chunk := file.read(1 << 20):
                    digest.update(chunk)
        return digest.hexdigest()


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A stream and its units; `left_out` counts the rows that are no part of it, by reason."""

    info: StreamInfo
    units: Units
    left_out: dict[str, int]


def prepare(config: StreamConfig, *, folder: Path) -> Prepared:
    """Reads the files, and leaves what `load_prepared` takes in `folder`. BadStream where they cannot be used.

    Of the filter, the parts that name only columns of the catalogue file hold for the catalogue too: what is
    no product in the stream is none there.
    """
    by_user = config.protocol.protocol == "basket"
    stream = read_stream(config.data, columns=config.columns, where=config.where, by_user=by_user)
    units = cut(stream, config=config.protocol)
    folder.mkdir(parents=True, exist_ok=True)
    items = _catalogue(config, folder=folder)
    info = _info(stream, units=units, items=items, protocol=config.protocol.protocol)
    prepared = Prepared(info, units, stream.left_out)
    _save(prepared, folder=folder)
    return prepared


def catalogue_of(config: StreamConfig, *, folder: Path) -> list[CatalogueItem]:
    """The catalogue's records that satisfy the filter, by time; none without a catalogue."""
    if config.items is None:
        return []
    filtered = folder / ITEMS_FILE
    return read_items(filtered if filtered.is_file() else config.items)


def _catalogue(config: StreamConfig, *, folder: Path) -> list[CatalogueItem]:
    if config.items is not None and config.items.suffix.lower() == ".parquet" and config.where:
        present = frozenset(pq.read_schema(config.items).names)
        where = parse_where(config.where, meanings=dict(config.columns.renames)).within(present)
        if where.parts:
            pq.write_table(where.apply(pq.read_table(config.items)), folder / ITEMS_FILE)
    return catalogue_of(config, folder=folder)


def _info(stream: Stream, *, units: Units, items: Sequence[CatalogueItem], protocol: str) -> StreamInfo:
    names = with_catalogue(stream.item_names, [str(item.item_id) for item in items])
    code = {name: at for at, name in enumerate(names)}
    texts = (
        None
        if stream.item_texts is None
        else stream.item_texts + [""] * (len(names) - len(stream.item_names))
    )
    categories = [""] * len(names)
    first_ts: NDArray[np.int64] | None = None
    if items:
        texts = texts or [""] * len(names)
        first_ts = np.full(len(names), _NO_TIME, np.int64)
    for item in items:
        at = code[item.item_id]
        if texts is not None:
            texts[at] = item.text() if item.item_name != item.item_id else texts[at]
        categories[at] = item.item_category or ""
        if first_ts is not None:
            first_ts[at] = item.occurred_at or 0
    return StreamInfo(
        n_items=len(names),
        n_users=len(stream.user_names),
        n_sessions=int(units.session.max()) + 1,
        n_units=len(units),
        protocol=protocol,
        ts=stream.ts,
        item=stream.item,
        user=stream.user,
        event=stream.event,
        event_names=stream.event_names,
        qty=stream.qty,
        price=stream.price,
        user_names=stream.user_names,
        item_names=names,
        item_texts=texts,
        item_first_ts=first_ts,
        item_categories=categories if any(categories) else None,
    )


_UNIT_COLUMNS = ("at_ms", "user", "session", "starts", "stops", "items", "ends")
_REPEAT_COLUMNS = ("row", "at_ms", "user", "session", "items")
_ROW_COLUMNS = ("ts", "item", "user", "event", "qty", "price", "item_first_ts")
_PLAIN = ("n_items", "n_users", "n_sessions", "n_units", "protocol", "event_names")
_NAMES = ("user_names", "item_names", "item_texts", "item_categories")


def _save(prepared: Prepared, *, folder: Path) -> None:
    for name in _UNIT_COLUMNS:
        np.save(folder / f"unit-{name}.npy", getattr(prepared.units, name), allow_pickle=False)
    for name in _REPEAT_COLUMNS:
        np.save(folder / f"repeat-{name}.npy", getattr(prepared.units.repeats, name), allow_pickle=False)
    for name in _ROW_COLUMNS:
        if (array := getattr(prepared.info, name)) is not None:
            np.save(folder / f"row-{name}.npy", array, allow_pickle=False)
    meta = {name: getattr(prepared.info, name) for name in (*_PLAIN, *_NAMES)}
    (folder / "stream.json").write_text(json.dumps(meta | {"left_out": prepared.left_out}))


def load_prepared(folder: Path) -> Prepared:
    """What `prepare` left in `folder`; arrays are read-only views of its files."""
    meta: dict[str, Any] = json.loads((folder / "stream.json").read_text())
    rows = {
        name: np.asarray(np.load(path, mmap_mode="r")) if path.is_file() else None
        for name in _ROW_COLUMNS
        for path in (folder / f"row-{name}.npy",)
    }
    units = {name: _mapped(folder / f"unit-{name}.npy") for name in _UNIT_COLUMNS}
    repeats = Repeats(**{name: _mapped(folder / f"repeat-{name}.npy") for name in _REPEAT_COLUMNS})
    left_out = meta.pop("left_out")
    info: Any = {**meta, **rows}
    return Prepared(StreamInfo(**info), Units(**units, repeats=repeats), left_out)


def _mapped(path: Path) -> NDArray[np.int64]:
    return np.asarray(np.load(path, mmap_mode="r"))
