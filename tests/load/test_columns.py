"""Columns: what a file's columns and events are called, and what is refused."""

import pytest

from load.columns import GA4_NAMES, Columns, ga4_name, parse_renames
from load.errors import BadStream


def test_usual_names_are_found_without_renames() -> None:
    found = Columns().find(["timestamp", "visitorid", "itemid", "event"], where="f")
    assert found == {"ts": "timestamp", "user": "visitorid", "item": "itemid", "event": "event"}


def test_a_rename_goes_before_the_usual_name() -> None:
    found = Columns(renames={"user": "who"}).find(["ts", "user", "item", "who"], where="f")
    assert found["user"] == "who"


def test_a_missing_column_is_named_with_what_there_is_and_what_to_do() -> None:
    with pytest.raises(BadStream, match=r"no column for user; it has ts, item; .*--columns user=COLUMN"):
        Columns().find(["ts", "item"], where="f")


def test_a_rename_to_a_column_that_is_not_there_is_refused() -> None:
    with pytest.raises(BadStream, match="no column 'who' for user"):
        Columns(renames={"user": "who"}).find(["ts", "user", "item"], where="f")


@pytest.mark.parametrize("text", ["user", "user=", "shoe=size"])
def test_renames_that_cannot_be_understood_are_refused(text: str) -> None:
    with pytest.raises(BadStream, match="NAME=COLUMN"):
        parse_renames(text)


@pytest.mark.parametrize("field", [{"default_event": "wave"}, {"time_unit": "h"}, {"renames": {"shoe": "x"}}])
def test_wrong_settings_are_refused(field: dict[str, object]) -> None:
    with pytest.raises(BadStream, match="received"):
        Columns(**field)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("view", "view_item"),
        ("addtocart", "add_to_cart"),
        ("add-to-cart", "add_to_cart"),
        ("transaction", "purchase"),
        ("return", "refund"),
        ("select_item", "select_item"),
        ("adjustment", None),
    ],
)
def test_events_of_the_world_get_ga4_names(name: str, expected: str | None) -> None:
    assert ga4_name(name) == expected


def test_every_synonym_leads_to_a_name_of_the_contract() -> None:
    assert all(ga4_name(name) == name for name in GA4_NAMES.values())
