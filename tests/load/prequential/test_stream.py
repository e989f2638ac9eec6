"""Files read into codes in time order."""

from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from load.columns import Columns
from load.errors import BadStream
from load.prequential.stream import read_stream

T = 1_700_000_000_000
ROWS = {
    "when": [T + 5, T, T, T + 5, T + 9, T + 9],
    "visitor": ["b", "a", None, "a", "", "b"],
    "item": ["y", "x", "x", "z", "x", "x"],
    "event": ["view", "view", "view", "buy", "view", "buy"],
    "qty": [1, 2, 3, None, 5, 6],
    "text": ["", "an x", "another x", "a z", None, "later x"],
}
RENAMED = Columns(renames={"ts": "when", "user": "visitor"})


@pytest.fixture(params=["parquet", "csv"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"rows.{request.param}"
    table = pa.table(ROWS)
    if request.param == "csv":
        pa_csv.write_csv(table, path)
    else:
        pq.write_table(table, path)
    return path


def test_rows_come_by_time_with_codes_by_first_appearance(file: Path) -> None:
    stream = read_stream(file, columns=RENAMED)
    assert stream.ts.tolist() == [T, T + 5, T + 5, T + 9]
    assert [stream.user_names[code] for code in stream.user] == ["a", "b", "a", "b"]
    assert [stream.item_names[code] for code in stream.item] == ["x", "y", "z", "x"]
    assert [stream.event_names[code] for code in stream.event] == ["view", "view", "buy", "buy"]
    assert stream.item.tolist() == [0, 1, 2, 0]
    assert stream.qty is not None
    assert stream.qty[0] == 2
    assert stream.price is None
    assert stream.item_texts == ["an x", "", "a z"]
    assert stream.left_out == {"no user": 2}


def test_by_user_puts_a_users_rows_of_one_time_together(tmp_path: Path) -> None:
    table = {"ts": [T, T, T, T], "user": ["a", "b", "a", "b"], "item": ["1", "2", "3", "4"]}
    pq.write_table(pa.table(table), tmp_path / "rows.parquet")
    stream = read_stream(tmp_path / "rows.parquet", columns=Columns(), by_user=True)
    assert [stream.item_names[code] for code in stream.item] == ["1", "3", "2", "4"]


def test_the_filter_may_use_columns_that_nothing_else_does(tmp_path: Path) -> None:
    table = {"ts": [T, T + 1], "user": ["a", "a"], "item": ["1", "2"], "fine": [False, True]}
    pq.write_table(pa.table(table), tmp_path / "rows.parquet")
    stream = read_stream(tmp_path / "rows.parquet", columns=Columns(), where="fine AND user = 'a'")
    assert stream.item_names == ["2"]
    assert stream.left_out == {"not in --where": 1}


def test_numbers_as_ids_are_read_as_text(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text(f"ts,user,item\n{T},007,0012\n{T + 1},007,12\n")
    stream = read_stream(tmp_path / "rows.csv", columns=Columns())
    assert (stream.user_names, stream.item_names) == (["007"], ["0012", "12"])


def test_seconds_taken_for_milliseconds_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(f"ts,user,item\n{T // 1000},u,a\n{T // 1000 + 1},u,b\n")
    with pytest.raises(BadStream, match=r"is ms the right time unit.*--time-unit"):
        read_stream(path, columns=Columns())
    assert read_stream(path, columns=Columns(time_unit="s")).ts.tolist() == [T, T + 1000]


def test_times_that_are_no_times_are_refused(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("ts,user,item\nyesterday,u,a\n")
    with pytest.raises(BadStream, match="yesterday"):
        read_stream(tmp_path / "rows.csv", columns=Columns())


def test_a_row_without_a_time_is_named_unless_the_filter_leaves_it_out(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text(f"ts,user,item,qty\n,u,a,0\n{T},u,b,1\n,u,c,1\n")
    with pytest.raises(BadStream, match="1 row has no time: line 4"):
        read_stream(path, columns=Columns(), where="qty > 0")
    assert len(read_stream(path, columns=Columns(), where="item = 'b'")) == 1


@pytest.mark.parametrize(
    ("name", "where", "says"),
    [
        ("rows.parquet", "colour = 'red'", "no column 'colour'"),
        ("rows.parquet", "event = 'never'", "no row is left"),
        ("missing.parquet", "", "no such file"),
        ("rows.txt", "", "expected a .parquet or .csv"),
    ],
)
def test_what_cannot_be_used_is_said(tmp_path: Path, name: str, where: str, says: str) -> None:
    pq.write_table(pa.table(ROWS), tmp_path / "rows.parquet")
    (tmp_path / "rows.txt").write_text("")
    with pytest.raises(BadStream, match=says):
        read_stream(tmp_path / name, columns=RENAMED, where=where)
