"""Filters written as in SQL: what they keep, and what they refuse."""

import pyarrow as pa
import pytest

from load.errors import BadStream
from load.prequential.where import parse_where

TABLE = pa.table(
    {
        "event": ["purchase", "view", None, "pur'chase", "purchase"],
        "ok": [True, False, True, None, False],
        "qty": [1, 2, 3, 4, 5],
        "odd name": [0.5, None, -1.0, 2.0, 1e3],
        "n": [0, 1, 2, 3, 4],
    }
)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("", [0, 1, 2, 3, 4]),
        ("event = 'purchase'", [0, 4]),
        ("event == 'pur''chase'", [3]),
        ("event != 'purchase'", [1, 3]),
        ("event <> 'purchase' and qty>=4", [3]),
        ("event = 'purchase' AND ok", [0]),
        ("NOT ok", [1, 4]),
        ("ok = TRUE OR ok = false", [0, 1, 2, 4]),
        ("event IS NULL", [2]),
        ("event is not null and not ok", [1, 4]),
        ("qty IN (1, 3, 5)", [0, 2, 4]),
        ("event NOT IN ('view')", [0, 3, 4]),
        ("qty < 2 OR qty > 4 AND ok", [0]),
        ("(qty < 2 OR qty > 4) AND event = 'purchase'", [0, 4]),
        ("NOT (qty < 2 OR qty > 4)", [1, 2, 3]),
        ('"odd name" <= 0.5', [0, 2]),
        ('"odd name" = 1e3', [4]),
        ("qty >= -2 AND qty<=+1", [0]),
    ],
)
def test_keeps_the_rows_that_sql_would(text: str, kept: list[int]) -> None:
    assert parse_where(text).apply(TABLE).column("n").to_pylist() == kept


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("event =", "after the end"),
        ("event = purchase", "a value"),
        ("= 3", "a column"),
        ("event = 'purchase' qty", "AND, OR or the end"),
        ("(qty > 1", r"expected \) after the end"),
        ("qty IN 3", r"expected \("),
        ("qty ; drop", "character 4"),
        ("__import__('os')", "AND, OR or the end"),
        ("qty = 'unclosed", "cannot read"),
        ("event IS 3", "expected NULL"),
        ("AND", "a column"),
    ],
)
def test_refuses_what_it_does_not_understand_and_says_where(text: str, says: str) -> None:
    with pytest.raises(BadStream, match=says):
        parse_where(text)


@pytest.mark.parametrize("text", ["qty", "ok > 'x'"])
def test_types_that_do_not_fit_are_one_clear_error(text: str) -> None:
    with pytest.raises(BadStream, match="types"):
        parse_where(text).apply(TABLE)


def test_meanings_stand_for_the_files_own_names() -> None:
    where = parse_where("user = 'a' AND qty > 1", meanings={"user": "visitor"})
    assert where.columns == {"visitor", "qty"}


def test_within_keeps_only_the_parts_about_the_other_tables_columns() -> None:
    where = parse_where("event = 'purchase' AND is_product AND (qty > 1 OR is_product)")
    only = where.within(frozenset(("is_product", "price")))
    assert [part.columns for part in only.parts] == [{"is_product"}]
    # An OR at the top is one part: half of it says nothing by itself.
    assert not parse_where("event = 'purchase' OR is_product").within(frozenset(("is_product",))).parts
