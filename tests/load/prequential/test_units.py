"""Baskets, sessions and events cut as the protocols say."""

import numpy as np
import pytest

from load.errors import BadLoadConfig, BadStream
from load.prequential.stream import Stream
from load.prequential.units import ProtocolConfig, cut, known_before

GAP = 30


def stream(rows: list[tuple[int, int, int]]) -> Stream:
    """Rows of (time, user, item)."""
    ts, user, item = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    names = [str(code) for code in range(int(max(user.max(), item.max())) + 1)]
    return Stream(ts, user, item, np.zeros(len(ts), np.int16), ["view"], None, None, names, names, None)


def answers(units: object) -> list[list[int]]:
    return [unit.items.tolist() for unit in units]  # type: ignore[attr-defined]


def test_a_basket_is_a_users_rows_of_one_time_each_item_once() -> None:
    rows = [(0, 0, 3), (0, 0, 1), (0, 0, 3), (0, 1, 2), (5, 0, 1), (5, 0, 2)]
    units = cut(stream(rows), config=ProtocolConfig("basket"))
    assert answers(units) == [[3, 1], [2], [1, 2]]
    made = list(units)
    assert [unit.rows for unit in made] == [slice(0, 3), slice(3, 4), slice(4, 6)]
    assert [unit.user for unit in made] == [unit.session for unit in made] == [0, 1, 0]
    known = known_before(units, config=ProtocolConfig("basket", burn_in=0.0), n_items=4)
    assert known.warm.tolist() == [False, False, True]
    assert known.bought.tolist() == [0, 0, 0, 1, 1]


def test_rows_of_a_basket_that_are_apart_are_refused() -> None:
    with pytest.raises(BadStream, match="together"):
        cut(stream([(0, 0, 1), (0, 1, 1), (0, 0, 2)]), config=ProtocolConfig("basket"))


def test_sessions_end_after_a_longer_pause_and_repeats_are_no_units() -> None:
    rows = [
        (0, 0, 1),
        (5, 1, 1),  # another user's rows part nothing
        (10, 0, 1),  # a repeat: no unit, but it keeps the session open
        (40, 0, 2),  # 30 after the repeat: still the same session
        (50, 0, 1),
        (81, 0, 1),  # 31 later: a new session, so the same item is a unit again
        (82, 1, 1),
    ]
    config = ProtocolConfig("session", session_gap_ms=GAP, burn_in=0.0)
    units = cut(stream(rows), config=config)
    assert [(unit.at_ms, unit.items.tolist()) for unit in units] == [
        (0, [1]), (5, [1]), (40, [2]), (50, [1]), (81, [1]), (82, [1]),
    ]  # fmt: skip
    sessions = units.session.tolist()
    assert sessions[0] == sessions[2] == sessions[3]
    assert len({sessions[0], sessions[1], sessions[4], sessions[5]}) == 4
    known = known_before(units, config=config, n_items=3)
    assert known.warm.tolist() == [False, False, True, True, False, False]
    assert known.bought.tolist() == [0, 1, 0, 2, 3, 4]


def test_repeats_are_shown_between_units_and_cut_with_them() -> None:
    rows = [(0, 0, 1), (5, 1, 2), (6, 0, 1), (7, 1, 2), (8, 0, 3), (9, 0, 3), (9, 1, 4), (10, 1, 4)]
    config = ProtocolConfig("session", session_gap_ms=GAP)
    units = cut(stream(rows), config=config)
    shown = [[seen.rows.start for seen in units.repeats.between(0, unit.rows.start)] for unit in units]
    assert shown == [[], [], [2, 3], [2, 3, 5]]
    seen = list(units.repeats.between(3, 8))
    assert [(one.at_ms, one.user, one.items.tolist(), one.rows) for one in seen] == [
        (7, 1, [2], slice(3, 4)), (9, 0, [3], slice(5, 6)), (10, 1, [4], slice(7, 8)),
    ]  # fmt: skip
    made = list(units)
    assert [one.session for one in seen] == [made[1].session, made[0].session, made[1].session]
    assert len(cut(stream(rows), config=ProtocolConfig("session", GAP, limit_units=3)).repeats) == 2
    assert len(cut(stream(rows), config=ProtocolConfig("event")).repeats) == 0


def test_without_a_gap_the_user_is_the_session() -> None:
    units = cut(stream([(0, 0, 1), (10**9, 0, 2), (10**9 + 1, 1, 2)]), config=ProtocolConfig("session"))
    assert units.session.tolist() == [0, 0, 1]


def test_every_row_is_an_event_repeats_too() -> None:
    config = ProtocolConfig("event", session_gap_ms=GAP, burn_in=0.0)
    units = cut(stream([(0, 0, 1), (1, 0, 1), (99, 0, 1)]), config=config)
    assert answers(units) == [[1], [1], [1]]
    assert units.session.tolist() == [0, 0, 1]
    assert known_before(units, config=config, n_items=2).warm.tolist() == [False, True, True]


def test_figures_begin_after_the_burn_in_and_the_limit_cuts_whole_units() -> None:
    rows = [(at, at % 3, item) for at in range(20) for item in (1, 2)]
    config = ProtocolConfig("basket", limit_units=15, burn_in=0.1)
    units = cut(stream(rows), config=config)
    assert len(units) == 15
    assert units.items.tolist() == [1, 2] * 15
    counted = known_before(units, config=config, n_items=3).counted
    assert np.flatnonzero(counted).tolist() == list(range(2, 15))


def test_young_targets_are_known_and_were_in_at_most_five_units() -> None:
    rows = [(at, at, 1) for at in range(9)]
    config = ProtocolConfig("event", burn_in=0.0)
    units = cut(stream(rows), config=config)
    young = known_before(units, config=config, n_items=10).young
    assert np.flatnonzero(young).tolist() == [1, 2, 3, 4, 5]
    # The catalogue had it before its first unit; what comes at that very moment is not known yet.
    first_ts = np.full(10, -1, np.int64)
    assert known_before(units, config=config, n_items=10, first_ts=first_ts).young[0]
    first_ts[1] = 0
    assert not known_before(units, config=config, n_items=10, first_ts=first_ts).young[0]


def test_deciles_go_from_the_most_popular_item_to_the_least() -> None:
    rows = [(at, 0, item) for at, item in enumerate(item for item in range(10) for _ in range(20 - item))]
    config = ProtocolConfig("event")
    units = cut(stream(rows), config=config)
    known = known_before(units, config=config, n_items=10)
    assert (known.decile == units.items).all()


@pytest.mark.parametrize(
    "options",
    [
        {"protocol": "week"},
        {"protocol": "basket", "session_gap_ms": 5},
        {"protocol": "session", "session_gap_ms": 0},
        {"limit_units": 0},
        {"burn_in": 1.0},
    ],
)
def test_protocols_that_make_no_sense_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(BadLoadConfig):
        ProtocolConfig(**options)  # type: ignore[arg-type]


def test_one_unit_is_no_stream() -> None:
    with pytest.raises(BadStream, match="1 units"):
        cut(stream([(0, 0, 1)]), config=ProtocolConfig("basket"))
