"""A parquet or CSV file as record batches with Headwater's column names, in time order, in bounded memory."""

import heapq
import tempfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from load.columns import ALIASES, Columns
from load.errors import BadStream
from load.times import n_untimed, no_time, times_ms, untimed

MEANINGS = tuple(ALIASES)
Row: TypeAlias = tuple[Any, ...]
"""One value for each of MEANINGS, in their order: ts int (ms), the others their value or None."""

BATCH_ROWS = 1_024  # small, so that turning a batch into Python objects holds the interpreter for 2 ms only
RUN_ROWS = 1_000_000  # rows sorted in memory at once where a file is not in time order
_NUMBERS = {"qty": pa.float64(), "price": pa.float64()}


def rows_in_time_order(path: Path, *, columns: Columns, run_rows: int = RUN_ROWS) -> Iterator[Row]:
    """The rows of `path` by time; rows of one time keep the file's order.

    A file in time order streams as it is. Any other is sorted in runs of `run_rows` on disk and merged, so
    memory holds one run at most. Raises BadStream where the file cannot be read as events.
    """
    if _is_in_time_order(path, columns=columns):
        for batch in canonical_batches(path, columns=columns):
            yield from _rows(batch)
        return
    with tempfile.TemporaryDirectory(prefix="headwater-sort-") as folder:
        runs = _sorted_runs(path, Path(folder), columns=columns, run_rows=run_rows)
        yield from heapq.merge(*(_stored_rows(run) for run in runs), key=lambda row: row[0])


def canonical_batches(path: Path, *, columns: Columns) -> Iterator[pa.RecordBatch]:
    """The file's batches of at most BATCH_ROWS rows with exactly the columns MEANINGS (null where absent)."""
    try:
        found, batches = _open(path, columns=columns)
        before = 0
        for batch in batches:
            if n_untimed(times := batch.column(found["ts"])):
                first = before + pc.index(untimed(times), True).as_py()
                count = sum(n_untimed(part.column(found["ts"])) for part in chain([batch], batches))
                raise no_time(path, first=first, count=count)
            before += batch.num_rows
            yield _canonical(batch, found, columns=columns, path=path)
    except (pa.ArrowException, OSError) as error:
        raise BadStream(f"{path}: cannot be read as a table of events: {error}") from error


def column_names(path: Path) -> list[str]:
    """The columns of a parquet or CSV file; BadStream where it cannot be read."""
    try:
        if path.suffix.lower() == ".parquet":
            names: list[str] = pq.read_schema(path).names
            return names
        with pa_csv.open_csv(path) as header:
            return list(header.schema.names)
    except (pa.ArrowException, OSError) as error:
        raise BadStream(f"{path}: cannot be read as a table of events: {error}") from error


def told_of_events(path: Path, *, columns: Columns) -> str | None:
    """What to tell of a table without an event column; None where it has one, or there is no table."""
    if path.suffix.lower() not in (".parquet", ".csv") or not path.is_file():
        return None
    if "event" in columns.find(column_names(path), where=path.name):
        return None
    return (
        f"no event column: every row is taken as {columns.default_event}; "
        "name one with --columns event=COLUMN"
    )


def _open(path: Path, *, columns: Columns) -> tuple[dict[str, str], Iterator[pa.RecordBatch]]:
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        file = pq.ParquetFile(path)
        found = columns.find(file.schema_arrow.names, where=path.name)
        return found, file.iter_batches(batch_size=BATCH_ROWS, columns=sorted(set(found.values())))
    if suffix == ".csv":
        with pa_csv.open_csv(path) as header:
            found = columns.find(header.schema.names, where=path.name)
        strings = {
            found[meaning]: pa.string()
            for meaning in MEANINGS
            if meaning not in ("ts", *_NUMBERS) and meaning in found
        }
        convert = pa_csv.ConvertOptions(
            column_types=strings | {found[name]: kind for name, kind in _NUMBERS.items() if name in found},
            include_columns=sorted(set(found.values())),
            strings_can_be_null=True,
        )
        reader = pa_csv.open_csv(path, convert_options=convert)
        return found, (part for block in reader for part in _split(block))
    raise BadStream(f"{path}: expected a .parquet, .csv, .jsonl or .ndjson file")


def _split(block: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    for start in range(0, block.num_rows, BATCH_ROWS):
        yield block.slice(start, BATCH_ROWS)


def _canonical(
    batch: pa.RecordBatch, found: dict[str, str], *, columns: Columns, path: Path
) -> pa.RecordBatch:
    arrays = []
    for meaning in MEANINGS:
        if meaning not in found:
            arrays.append(pa.nulls(batch.num_rows, _NUMBERS.get(meaning, pa.string())))
        elif meaning == "ts":
            arrays.append(times_ms(batch.column(found[meaning]), columns=columns, path=path))
        else:
            arrays.append(batch.column(found[meaning]).cast(_NUMBERS.get(meaning, pa.string())))
    return pa.RecordBatch.from_arrays(arrays, names=list(MEANINGS))


def _is_in_time_order(path: Path, *, columns: Columns) -> bool:
    last = None
    for batch in canonical_batches(path, columns=columns):
        times = batch.column(0).to_numpy()
        if len(times) == 0:
            continue
        if (last is not None and times[0] < last) or (times[1:] < times[:-1]).any():
            return False
        last = times[-1]
    return True


def _sorted_runs(path: Path, folder: Path, *, columns: Columns, run_rows: int) -> list[Path]:
    runs: list[Path] = []
    held: list[pa.RecordBatch] = []

    def store() -> None:
        table = pa.Table.from_batches(held)
        order = pc.sort_indices(table, sort_keys=[("ts", "ascending")])  # stable, so ties keep their order
        runs.append(folder / f"{len(runs)}.parquet")
        pq.write_table(table.take(order), runs[-1], row_group_size=BATCH_ROWS * 16)
        held.clear()

    waiting = 0
    for batch in canonical_batches(path, columns=columns):
        held.append(batch)
        waiting += batch.num_rows
        if waiting >= run_rows:
            store()
            waiting = 0
    if held:
        store()
    return runs


def _stored_rows(run: Path) -> Iterator[Row]:
    for batch in pq.ParquetFile(run).iter_batches(batch_size=BATCH_ROWS):
        yield from _rows(batch)


def _rows(batch: pa.RecordBatch) -> Iterator[Row]:
    return zip(*(column.to_pylist() for column in batch.columns), strict=True)
