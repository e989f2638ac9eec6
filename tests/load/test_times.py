"""Rows without a time are named, and times of other centuries are refused."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from load.columns import Columns
from load.errors import BadStream
from load.tables import BATCH_ROWS, canonical_batches
from load.times import LATEST_MS, times_ms

T = 1_700_000_000_000


def read_all(path: Path) -> int:
    return sum(batch.num_rows for batch in canonical_batches(path, columns=Columns()))


def test_the_line_of_a_csv_without_a_time_is_named_and_empty_lines_count(tmp_path: Path) -> None:
    path = tmp_path / "shop.csv"
    path.write_text(f"ts,user,item\n{T},u,a\n\n,u,b\n{T},u,c\n")
    with pytest.raises(BadStream, match=r"^shop\.csv: 1 row has no time: line 4$"):
        read_all(path)


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_the_row_of_a_parquet_without_a_time_is_named_and_all_are_counted(
    tmp_path: Path, missing: float | None
) -> None:
    times = [float(T)] * (2 * BATCH_ROWS + 10)
    times[BATCH_ROWS + 4] = times[BATCH_ROWS + 5] = times[-1] = missing  # type: ignore[call-overload]
    n = len(times)
    table = pa.table({"ts": pa.array(times, pa.float64()), "user": ["u"] * n, "item": ["a"] * n})
    pq.write_table(table, tmp_path / "shop.parquet")
    with pytest.raises(BadStream, match=f"3 rows have no time, the first is row {BATCH_ROWS + 5}$"):
        read_all(tmp_path / "shop.parquet")


@pytest.mark.parametrize("ms", [0, LATEST_MS + 1])
def test_one_time_out_of_range_is_enough(ms: int) -> None:
    with pytest.raises(BadStream, match=f"time {ms} ms is not between 2000 and 2100"):
        times_ms(pa.array([T, ms, T]), columns=Columns(), path=Path("shop.csv"))


def test_no_times_are_no_error() -> None:
    assert len(times_ms(pa.array([], pa.int64()), columns=Columns(), path=Path("shop.csv"))) == 0
