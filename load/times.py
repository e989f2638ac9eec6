"""The times of a file's rows as epoch milliseconds, and the errors of rows whose time is missing or impossible."""

from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from events.limits import EARLIEST_MS
from load.columns import Columns
from load.errors import BadStream

LATEST_MS = 4_102_444_800_000  # 2100: later times are a wrong unit, not a late shopper
_PER_MS = {"s": ("multiply", 1_000), "ms": ("multiply", 1), "us": ("divide", 1_000), "ns": ("divide", 10**6)}


def times_ms(times: pa.Array, *, columns: Columns, path: Path) -> pa.Array:
    """`times`, none of them missing, as int64 epoch milliseconds. They may be integers in the columns' time
    unit, or timestamps or ISO 8601 text, which are UTC where they name no zone.

    Raises BadStream for what is no time, or not between 2000 and 2100.
    """
    try:
        found = _as_ms(times, unit=columns.time_unit)
    except pa.ArrowInvalid as error:
        raise BadStream(f"{path}: cannot be read as times: {error}") from error
    ends = pc.min_max(found).as_py()
    for ms in (ends["min"], ends["max"]):
        if ms is not None and not EARLIEST_MS <= ms <= LATEST_MS:
            raise BadStream(
                f"{path}: time {ms} ms is not between 2000 and 2100; is {columns.time_unit} the right time "
                "unit? --time-unit names another"
            )
    return found


def _as_ms(times: pa.Array, *, unit: str) -> pa.Array:
    if pa.types.is_string(times.type) or pa.types.is_large_string(times.type):
        try:
            times = times.cast(pa.timestamp("ms", tz="UTC"))
        except pa.ArrowInvalid:  # no zone offset: as timestamps without a zone, they are UTC
            times = times.cast(pa.timestamp("ms"))
    if pa.types.is_timestamp(times.type):
        return times.cast(pa.timestamp("ms", tz=times.type.tz), safe=False).cast(pa.int64())
    operation, factor = _PER_MS[unit]
    return getattr(pc, operation)(times.cast(pa.int64()), factor)


def untimed(times: Any) -> Any:
    """(R,) bool: the rows of an Array or ChunkedArray (R,) that have no time."""
    return pc.is_null(times, nan_is_null=True)


def n_untimed(times: Any) -> int:
    """How many rows of an Array or ChunkedArray have no time."""
    return int(pc.sum(untimed(times)).as_py() or 0)


def no_time(path: Path, *, first: int, count: int) -> BadStream:
    """The error of a file in which `count` rows have no time, and number `first` (from 0) is the first of them."""
    place = f"line {_line(path, row=first)}" if path.suffix.lower() == ".csv" else f"row {first + 1}"
    rows = "1 row has no time:" if count == 1 else f"{count:,} rows have no time, the first is"
    return BadStream(f"{path.name}: {rows} {place}")


def _line(path: Path, *, row: int) -> int:
    """The line of a CSV that holds `row`, from 1; the first is the header's, and empty lines hold none."""
    with path.open("rb") as lines:
        filled = (number for number, line in enumerate(lines, start=1) if line.strip(b"\r\n"))
        return next(islice(filled, row + 1, None), row + 2)
