"""Splitting an envelope that is not quite JSON gives each event's own bytes, or nothing."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.rescue import split_envelope

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(events=st.lists(values, max_size=4), before=values, indent=st.sampled_from([None, 0, 3]))
def test_each_element_is_found_whatever_it_holds(
    events: list[object], before: object, indent: int | None
) -> None:
    raw = json.dumps({"before": before, "events": events, "after": 1}, indent=indent).encode()
    parts = split_envelope(raw, limit=1_000)
    assert parts is not None
    assert len(parts) == len(events)
    assert list(map(repr, map(json.loads, parts))) == list(map(repr, json.loads(raw)["events"]))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b" ",
        b"[]",
        b'"events"',
        b"{",
        b"{}",
        b'{"events": 1}',
        b'{"events": [',
        b'{"events": [NaN',
        b'{"events": [NaN}',
        b'{"events": [NaN, ]}',
        b'{"events": [NaN]',
        b'{"events": [NaN]} x',
        b'{"events": [NaN], "event": "search"}',
        b'{"event": "search", "events": [NaN]}',
        b'{"other": NaN}',
        b'{"events": [' + b"[" * 100_000,
        b'{"events": [' + b"9" * 5_000 + b"]}",
    ],
)
def test_what_cannot_be_read_as_an_envelope_is_left_whole(raw: bytes) -> None:
    assert split_envelope(raw, limit=1_000) is None


def test_bytes_that_are_not_utf8_come_back_as_they_were() -> None:
    assert split_envelope(b'{"\xff": 1, "events": ["\xfe", NaN]}', limit=2) == [b'"\xfe"', b"NaN"]
