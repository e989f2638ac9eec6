"""The cut of the shipped data: what is kept, and what the shipped files hold."""

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest

import demo
from demo.cut import EVENTS_FILE, ITEMS_FILE, cut_events, cut_items
from load.catalogue import read_items
from load.stream_reader import StreamReader

DATA = Path(demo.__file__).parent / "data"
T0 = 1_300_000_000_000


def lines(*rows: tuple[str | None, str, str, int, float, bool]) -> pa.Table:
    names = ("user", "item", "event", "qty", "price", "is_product")
    columns = dict(zip(names, zip(*rows, strict=True), strict=True))
    return pa.table({"ts": [T0] * len(rows)} | {name: list(values) for name, values in columns.items()})


def test_guests_postage_adjustments_and_negative_prices_are_left_out() -> None:
    kept = cut_events(
        lines(
            ("u", "a", "purchase", 1, 1.0, True),
            (None, "a", "purchase", 1, 1.0, True),
            ("u", "POST", "purchase", 1, 1.0, False),
            ("u", "b", "adjustment", 1, 1.0, True),
            ("u", "c", "purchase", 1, -5.0, True),
        )
    )
    assert kept["item"].to_pylist() == ["a"]


def test_a_basket_holds_each_item_once_at_its_mean_price() -> None:
    kept = cut_events(
        lines(
            ("u", "b", "purchase", 1, 2.0, True),
            ("u", "a", "purchase", 1, 1.0, True),
            ("u", "a", "purchase", 3, 2.0, True),
            ("u", "a", "return", -2, 1.0, True),
        )
    )
    assert kept.select(["item", "event", "qty", "price"]).to_pylist() == [
        {"item": "a", "event": "purchase", "qty": 4, "price": 1.75},
        {"item": "b", "event": "purchase", "qty": 1, "price": 2.0},
        {"item": "a", "event": "refund", "qty": 2, "price": 1.0},
    ]


def test_the_catalogue_holds_what_was_sold() -> None:
    items = pa.table(
        {
            "item": ["b", "a", "z"],
            "text": ["B", "A", "Z"],
            "median_price": [2.0, 1.004, 3.0],
            "first_ts": [2, 1, 0],
        }
    )
    events = cut_events(lines(("u", "a", "purchase", 1, 1.0, True), ("u", "b", "purchase", 1, 1.0, True)))
    assert cut_items(items, events).to_pylist() == [
        {"item": "a", "text": "A", "price": 1.0, "first_ts": 1},
        {"item": "b", "text": "B", "price": 2.0, "first_ts": 2},
    ]


def test_the_shipped_files_are_whole_and_small() -> None:
    assert sum((DATA / name).stat().st_size for name in (EVENTS_FILE, ITEMS_FILE)) < 4_000_000
    reader = StreamReader(DATA / EVENTS_FILE)
    kinds: Counter[str] = Counter()
    sold: set[str] = set()
    last_ms = 0
    for event in reader:
        kinds[str(type(event).__struct_config__.tag)] += 1
        assert event.occurred_at >= last_ms
        last_ms = event.occurred_at
        sold.update(item.item_id for item in event.items)
    assert kinds == {"purchase": 36_479, "refund": 7_276}
    assert not reader.skipped
    assert {item.item_id for item in read_items(DATA / ITEMS_FILE)} == sold


def test_the_attribution_is_there() -> None:
    text = (DATA / "README.md").read_text()
    for words in ("Chen", "UCI Machine Learning Repository", "CC BY 4.0", "10.24432/C5CG6D", "changes"):
        assert words.lower() in text.lower(), words


@pytest.mark.parametrize("name", [EVENTS_FILE, ITEMS_FILE])
def test_the_readme_describes_each_file(name: str) -> None:
    assert name in (DATA / "README.md").read_text()
