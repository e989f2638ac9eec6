"""A file of events as columns of dense codes in time order, whole in memory: what the benchmark runs over."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from load.columns import Columns
from load.errors import BadStream
from load.prequential.where import parse_where
from load.tables import column_names
from load.times import n_untimed, no_time, times_ms, untimed

_ROW = "headwater: row of the file"  # kept only where some rows have no time, to name the first of them
_TEXTUAL = ("user", "item", "event", "text", "basket", "session")


@dataclass(frozen=True, slots=True, eq=False)
class Stream:
    """R rows by time. The columns are as in `contender.StreamInfo`; items have codes by first appearance.

    `left_out` counts the rows that are no part of it, by reason.
    """

    ts: NDArray[np.int64]  # (R,)
    user: NDArray[np.int64]  # (R,)
    item: NDArray[np.int64]  # (R,)
    event: NDArray[np.int16]  # (R,)
    event_names: list[str]
    qty: NDArray[np.float32] | None
    price: NDArray[np.float32] | None
    user_names: list[str]
    item_names: list[str]
    item_texts: list[str] | None
    left_out: dict[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ts)


def read_stream(path: Path, *, columns: Columns, where: str = "", by_user: bool = False) -> Stream:
    """The rows of a parquet or CSV file that satisfy `where` and have a user and an item, by time.

    Rows of one time keep the file's order, or with `by_user` stand user by user: baskets are then slices.
    An item's text is the first that the stream has for it. BadStream where the file cannot be read, or
    nothing of it is left.
    """
    table, found = _read(path, columns=columns, where=where)
    if n_untimed(table.column(found["ts"])):
        table = table.append_column(_ROW, pa.array(np.arange(table.num_rows)))
    before = table.num_rows
    table = parse_where(where, meanings=found).apply(table)
    left_out = {"not in --where": before - table.num_rows} if before > table.num_rows else {}
    for meaning in ("user", "item"):
        before = table.num_rows
        values = table.column(found[meaning]).cast(pa.string())
        table = table.filter(pc.fill_null(pc.not_equal(values, ""), False))
        if before > table.num_rows:
            left_out[f"no {meaning}"] = before - table.num_rows
    if not table.num_rows:
        raise BadStream(f"{path}: no row is left (left out: {left_out or 'none'}); the file may be empty")
    times = _times(table, found["ts"], columns=columns, path=path)
    order = np.argsort(times, kind="stable")
    users, _ = _codes(table.column(found["user"]), order=order)
    if by_user:
        order = order[np.lexsort((users, times[order]))]
    users, user_names = _codes(table.column(found["user"]), order=order)
    items, item_names = _codes(table.column(found["item"]), order=order)
    event, event_names = np.zeros(len(order), np.int64), [columns.default_event]
    if "event" in found:
        event, event_names = _codes(table.column(found["event"]), order=order)
    return Stream(
        ts=times[order],
        user=users,
        item=items,
        event=event.astype(np.int16),
        event_names=event_names,
        qty=_numbers(table, found.get("qty"), order=order),
        price=_numbers(table, found.get("price"), order=order),
        user_names=user_names,
        item_names=item_names,
        item_texts=_texts(table, found.get("text"), order=order, items=items, n_items=len(item_names)),
        left_out=left_out,
    )


def _read(path: Path, *, columns: Columns, where: str) -> tuple[pa.Table, dict[str, str]]:
    if not path.is_file():
        raise BadStream(f"{path}: there is no such file")
    suffix = path.suffix.lower()
    if suffix not in (".parquet", ".csv"):
        raise BadStream(f"{path}: expected a .parquet or .csv file")
    try:
        present = column_names(path)
        found = columns.find(present, where=path.name)
        named = parse_where(where, meanings=found).columns
        if unknown := sorted(named - set(present)):
            raise BadStream(f"--where: {path.name} has no column {unknown[0]!r}; it has {', '.join(present)}")
        wanted = sorted(set(found.values()) | named)
        if suffix == ".parquet":
            return pq.read_table(path, columns=wanted), found
        strings = {found[meaning]: pa.string() for meaning in _TEXTUAL if meaning in found}
        options = pa_csv.ConvertOptions(
            column_types=strings, include_columns=wanted, strings_can_be_null=True
        )
        return pa_csv.read_csv(path, convert_options=options), found
    except (pa.ArrowException, OSError) as error:
        raise BadStream(f"{path}: cannot be read as a table of events: {error}") from error


def _times(table: pa.Table, name: str, *, columns: Columns, path: Path) -> NDArray[np.int64]:
    column = table.column(name)
    if count := n_untimed(column):
        raise no_time(path, first=table.column(_ROW).filter(untimed(column))[0].as_py(), count=count)
    whole = pa.concat_arrays(column.chunks) if column.num_chunks != 1 else column.chunk(0)
    times: NDArray[np.int64] = times_ms(whole, columns=columns, path=path).to_numpy()
    return times


def _codes(column: Any, *, order: NDArray[np.int64]) -> tuple[NDArray[np.int64], list[str]]:
    """(R,) codes of the values in `order`, by first appearance there, and the values by code."""
    taken = pc.fill_null(column.cast(pa.string()), "").take(pa.array(order)).combine_chunks()
    encoded = (taken.chunk(0) if isinstance(taken, pa.ChunkedArray) else taken).dictionary_encode()
    return encoded.indices.to_numpy().astype(np.int64), encoded.dictionary.to_pylist()


def _numbers(table: pa.Table, name: str | None, *, order: NDArray[np.int64]) -> NDArray[np.float32] | None:
    if name is None:
        return None
    values = table.column(name).cast(pa.float32(), safe=False).to_numpy()
    return np.asarray(values[order], np.float32)


def _texts(
    table: pa.Table, name: str | None, *, order: NDArray[np.int64], items: NDArray[np.int64], n_items: int
) -> list[str] | None:
    if name is None:
        return None
    codes, texts = _codes(table.column(name), order=order)
    filled = np.flatnonzero(np.array([bool(text.strip()) for text in texts])[codes])
    known, first = np.unique(items[filled], return_index=True)
    of_item = [""] * n_items
    for item, text in zip(known.tolist(), codes[filled[first]].tolist(), strict=True):
        of_item[item] = texts[text].strip()
    return of_item


def with_catalogue(names: Sequence[str], more: Sequence[str]) -> list[str]:
    """The item ids by code, with those of a catalogue that the stream never has behind them."""
    known = set(names)
    return [*names, *(name for name in dict.fromkeys(more) if name not in known)]
