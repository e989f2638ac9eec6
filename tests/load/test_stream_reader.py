"""StreamReader: files of shop data as events, in time order, one event a basket."""

from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from events.codec import decode, encode
from events.examples import EVENTS
from events.limits import MAX_ITEMS
from events.topics import TOPIC_OF
from events.types import AddToCart, AnyUserEvent, Purchase, Refund, ViewItem
from load.columns import Columns
from load.errors import BadStream
from load.stream_reader import StreamReader
from load.tables import rows_in_time_order

T0 = 1_300_000_000_000
SHOP = pa.table(
    {
        "ts": [T0, T0, T0, T0 + 5, T0 + 9, T0 + 9],
        "user": ["u1", "u2", "u1", "u1", "u2", None],
        "item": ["a", "a", "b", "c", "a", "z"],
        "event": ["purchase", "view", "purchase", "addtocart", "return", "purchase"],
        "qty": [2, 1, 3, 1, -4, 1],
        "price": [1.5, 2.0, 0.25, None, 2.0, 1.0],
    }
)


def write(folder: Path, *, suffix: str, table: pa.Table = SHOP) -> Path:
    path = folder / f"shop{suffix}"
    if suffix == ".csv":
        pa_csv.write_csv(table, path)
    else:
        pq.write_table(table, path, row_group_size=2)
    return path


@pytest.fixture(params=[".parquet", ".csv"])
def shop_file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return write(tmp_path, suffix=request.param)


def items_of(event: AnyUserEvent) -> list[tuple[str, int, float | None]]:
    assert isinstance(event, Purchase | Refund | ViewItem | AddToCart)
    return [(item.item_id, item.quantity, item.price) for item in event.items]


def test_rows_of_one_user_time_and_kind_are_one_event(shop_file: Path) -> None:
    reader = StreamReader(shop_file)
    events = list(reader)
    assert [(type(event), event.user_id, event.occurred_at - T0) for event in events] == [
        (Purchase, "u1", 0),
        (ViewItem, "u2", 0),
        (AddToCart, "u1", 5),
        (Refund, "u2", 9),
    ]
    assert items_of(events[0]) == [("a", 2, 1.5), ("b", 3, 0.25)]
    assert items_of(events[2]) == [("c", 1, None)]
    assert reader.skipped == {"no user": 1}


def test_a_return_of_minus_four_is_a_refund_of_four(shop_file: Path) -> None:
    assert items_of(list(StreamReader(shop_file))[-1]) == [("a", 4, 2.0)]


def test_every_event_is_one_that_the_codec_takes(shop_file: Path) -> None:
    for event in StreamReader(shop_file):
        topic = TOPIC_OF[str(type(event).__struct_config__.tag)]
        decoded = decode(encode(event), topic=topic, now_ms=T0 + 10, key=event.user_id.encode())
        assert decoded.events == [event]


def test_event_ids_are_the_same_each_time_and_never_repeat(shop_file: Path) -> None:
    first = [event.event_id for event in StreamReader(shop_file)]
    assert first == [event.event_id for event in StreamReader(shop_file)]
    assert len(set(first)) == len(first)


def test_csv_and_parquet_give_the_same_events(tmp_path: Path) -> None:
    of_csv = list(StreamReader(write(tmp_path, suffix=".csv")))
    assert of_csv == list(StreamReader(write(tmp_path, suffix=".parquet")))


def test_baskets_of_one_minute_stay_apart_by_their_number(tmp_path: Path) -> None:
    table = pa.table({"ts": [T0] * 3, "user": ["u"] * 3, "item": ["a", "b", "c"], "invoice": ["7", "8", "7"]})
    path = write(tmp_path, suffix=".parquet", table=table)
    events = list(StreamReader(path, columns=Columns(default_event="purchase")))
    assert [[item for item, _, _ in items_of(event)] for event in events] == [["a", "c"], ["b"]]
    assert [event.transaction_id for event in events if isinstance(event, Purchase)] == ["7", "8"]
    assert len({event.event_id for event in events}) == 2


def test_renamed_columns_and_other_time_units(tmp_path: Path) -> None:
    table = pa.table({"when": [T0 // 1000], "visitor": [17], "sku": [5]})
    columns = Columns(renames={"ts": "when", "user": "visitor", "item": "sku"}, time_unit="s")
    (event,) = StreamReader(write(tmp_path, suffix=".parquet", table=table), columns=columns)
    assert (event.user_id, event.occurred_at, items_of(event)) == ("17", T0, [("5", 1, None)])


@pytest.mark.parametrize(
    "times",
    [
        pa.array(["2011-12-09T08:41:00"]),
        pa.array(["2011-12-09T09:41:00+01:00"]),
        pa.array([1323420060000], pa.timestamp("ms")),
        pa.array([1323420060000000], pa.timestamp("us", tz="Europe/Paris")),
    ],
)
def test_times_as_text_and_timestamps(tmp_path: Path, times: pa.Array) -> None:
    path = write(tmp_path, suffix=".parquet", table=pa.table({"ts": times, "user": ["u"], "item": ["a"]}))
    assert [event.occurred_at for event in StreamReader(path)] == [1323420060000]


def test_times_that_are_no_times_are_refused(tmp_path: Path) -> None:
    table = pa.table({"ts": ["yesterday"], "user": ["u"], "item": ["a"]})
    with pytest.raises(BadStream, match="yesterday"):
        list(StreamReader(write(tmp_path, suffix=".parquet", table=table)))


def test_seconds_taken_for_milliseconds_are_noticed(tmp_path: Path) -> None:
    path = write(tmp_path, suffix=".csv", table=pa.table({"ts": [1323420060], "user": ["u"], "item": ["a"]}))
    with pytest.raises(BadStream, match=r"is ms the right time unit.*--time-unit"):
        list(StreamReader(path))
    assert len(list(StreamReader(path, columns=Columns(time_unit="s")))) == 1


def test_a_file_that_is_not_in_time_order_is_sorted_through_the_disk(tmp_path: Path) -> None:
    n = 5_000
    times = [T0 + (i * 7919) % n for i in range(n)]
    table = pa.table({"ts": times, "user": [f"u{i}" for i in range(n)], "item": ["a"] * n})
    path = write(tmp_path, suffix=".parquet", table=table)
    rows = list(rows_in_time_order(path, columns=Columns(), run_rows=1_100))
    assert [row[0] for row in rows] == sorted(times)
    assert {row[1] for row in rows} == {f"u{i}" for i in range(n)}


def test_sorting_keeps_the_order_of_rows_of_one_time(tmp_path: Path) -> None:
    n = 3_000
    times = [T0 + (1 - i // (n // 2)) for i in range(n)]  # the second half happened first
    table = pa.table({"ts": times, "user": [str(i) for i in range(n)], "item": ["a"] * n})
    path = write(tmp_path, suffix=".parquet", table=table)
    users = [int(row[1]) for row in rows_in_time_order(path, columns=Columns(), run_rows=1_024)]
    assert users == [*range(n // 2, n), *range(n // 2)]


def test_a_basket_above_the_limit_is_split_with_ids_of_its_own(tmp_path: Path) -> None:
    n = MAX_ITEMS + 5
    table = pa.table({"ts": [T0] * n, "user": ["u"] * n, "item": [str(i) for i in range(n)]})
    events = list(StreamReader(write(tmp_path, suffix=".parquet", table=table)))
    assert [len(items_of(event)) for event in events] == [MAX_ITEMS, 5]
    assert len({event.event_id for event in events}) == 2


def test_unusable_rows_are_left_out_and_counted(tmp_path: Path) -> None:
    table = pa.table(
        {
            "ts": [T0] * 4,
            "user": ["u", "u", "", "u\x00"],
            "item": ["a", None, "a", "a"],
            "event": ["wave", "view", "view", "view"],
        }
    )
    reader = StreamReader(write(tmp_path, suffix=".parquet", table=table))
    assert list(reader) == []
    assert reader.skipped == {"unknown event": 1, "no item": 1, "no user": 1, "bad id": 1}


def test_jsonl_gives_its_events_as_they_are(tmp_path: Path) -> None:
    events = list(EVENTS.values())
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"\n".join(encode(event) for event in events) + b"\n\n")
    assert events
    assert list(StreamReader(path)) == events


@pytest.mark.parametrize("line", [b"{", b'{"event": "wave"}', b'{"event": "purchase"}', b'{"event":"item"}'])
def test_a_broken_line_of_jsonl_is_named(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"\n" + line)
    with pytest.raises(BadStream, match=r"events\.jsonl:2"):
        list(StreamReader(path))


@pytest.mark.parametrize(
    "line",
    [
        b'{"ts": 1700000000000, "user": "u", "item": "a"}',
        b'{"event": "view", "item": "a"}',
        b'{"event": "\xff"}',
    ],
)
def test_a_line_of_jsonl_that_is_no_event_is_told_what_is_expected(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(line)
    with pytest.raises(BadStream, match=r"an event as in docs/schema.*CSV or parquet") as failed:
        list(StreamReader(path))
    assert "b'" not in str(failed.value)


@pytest.mark.parametrize("name", ["none.parquet", "shop.txt", "broken.parquet"])
def test_files_that_cannot_be_read_are_refused(tmp_path: Path, name: str) -> None:
    if name != "none.parquet":
        (tmp_path / name).write_bytes(b"no table")
    with pytest.raises(BadStream, match=name):
        list(StreamReader(tmp_path / name))
