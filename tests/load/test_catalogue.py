"""Catalogue files as item records."""

from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest

from events.codec import decode_item, encode
from events.examples import ITEM
from load.catalogue import read_items
from load.errors import BadStream

TABLE = pa.table(
    {
        "item": ["b", "a", "c"],
        "text": ["Blue mug", "Red mug", None],
        "median_price": [2.0, 1.0, None],
        "first_ts": [1_300_000_000_002, 1_300_000_000_001, None],
        "category": ["mugs", "mugs", None],
    }
)


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_items_come_by_the_time_they_appeared(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"items{suffix}"
    if suffix == ".csv":
        pa_csv.write_csv(TABLE, path)
    else:
        pq.write_table(TABLE, path)
    items = read_items(path)
    assert [item.item_id for item in items] == ["c", "a", "b"]
    assert items[0].item_name == "c"
    assert (items[1].item_name, items[1].price, items[1].item_category) == ("Red mug", 1.0, "mugs")
    assert all(decode_item(encode(item), now_ms=1_400_000_000_000) == item for item in items)


def test_an_id_of_digits_keeps_its_zeros(tmp_path: Path) -> None:
    (tmp_path / "items.csv").write_bytes(b"item,text\n00123,mug\n")
    assert [item.item_id for item in read_items(tmp_path / "items.csv")] == ["00123"]


def test_encoded_items_pass_through(tmp_path: Path) -> None:
    path = tmp_path / "items.jsonl"
    path.write_bytes(encode(ITEM) + b"\n\n")
    assert read_items(path) == [ITEM]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("items.jsonl", b'{"event": "item"}', r"items\.jsonl:1.*item_id"),
        ("items.csv", b"sku,text\n1,mug\n", "no item column; it has sku, text"),
        ("items.csv", b"item,text\n,mug\n", "row 0"),
        ("items.parquet", b"no table", "cannot be read"),
    ],
)
def test_files_that_are_no_catalogue_are_refused(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadStream, match=message):
        read_items(tmp_path / name)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadStream, match="no such file"):
        read_items(tmp_path / "items.csv")
