"""Folding equals its plain-Python reference, and the sentences of its docstring hold one by one."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.columns import Kind
from serving.decay import half_life_table
from serving.fold import fold
from serving.state import StateCodec, StateView
from serving.state_layout import (
    COUNT_MAX,
    EVENTS,
    FIRST_MS,
    IMPRESSIONS,
    LAST_MS,
    OFFSET,
    ONE,
    PARTITION,
    PURCHASES,
    SESSION_COUNT,
    SESSION_ID,
    SESSION_LAST_MS,
    SESSION_START_MS,
    TOPIC,
    FoldConfig,
    StateLayout,
)
from tests.serving.fold_reference import Event, Reference, User
from tests.serving.streams import DAY_MS, START_MS, columns_of, event_streams, fold_events

SMALL = StateLayout(session=4, history=6, seen=3)
CONFIG = FoldConfig()
MINUTE_MS = 60_000


def view_of(*events: Event, layout: StateLayout = SMALL, config: FoldConfig = CONFIG) -> StateView:
    codec = StateCodec(layout=layout, config=config)
    states = codec.new(np.arange(1, 3))
    fold_events(states, events, layout=layout, config=config)
    return codec.view(states, history=layout.history)


def event(at_ms: int, kind: Kind, *items: int, session_id: int = 0, event_id: int = 0) -> Event:
    return Event(0, event_id, START_MS + at_ms, kind, list(items), session_id)


def click(at_ms: int, *items: int, session_id: int = 0, event_id: int = 0) -> Event:
    return event(at_ms, Kind.CLICK, *items, session_id=session_id, event_id=event_id)


@settings(max_examples=150, deadline=None)
@given(events=event_streams(), cuts=st.lists(st.integers(0, 60), max_size=5))
def test_fold_equals_the_reference_in_batches_of_any_size(events: list[Event], cuts: list[int]) -> None:
    reference = Reference(SMALL, CONFIG)
    codec = StateCodec(layout=SMALL, config=CONFIG)
    states = codec.new(np.array([1, 2]))
    expected = [reference.fold(event) for event in events]
    applied: list[bool] = []
    edges = sorted({0, len(events), *(cut for cut in cuts if cut < len(events))})
    for start, stop in pairwise(edges):
        applied += fold_events(states, events[start:stop], layout=SMALL, config=CONFIG)
        states = codec.unpack(codec.pack(states), users=np.array([1, 2]))  # as between two real batches
    assert applied == expected
    view = codec.view(states, history=SMALL.history)
    for row in range(2):
        assert_same(states[row], view, row, reference.users.get(row, User()))


def assert_same(state: np.ndarray, view: StateView, row: int, user: User) -> None:
    header = [FIRST_MS, LAST_MS, EVENTS, IMPRESSIONS, PURCHASES, TOPIC, PARTITION, OFFSET]
    session = [SESSION_ID, SESSION_START_MS, SESSION_LAST_MS, SESSION_COUNT]
    assert state[header].tolist() == [
        user.first_ms,
        user.last_ms,
        user.events,
        user.impressions,
        user.purchases,
        *user.position,
    ]
    assert state[session].tolist() == [
        user.session_id,
        user.session_start_ms or 0,
        user.session_last_ms,
        len(user.session),
    ]
    slots = zip(view.session[row], view.session_times_ms[row], view.session_kinds[row], strict=True)
    assert [slot for slot in slots if slot[0]] == user.session
    filled = len(user.history)
    assert view.history[row].tolist() == [slot.item for slot in user.history] + [0] * (SMALL.history - filled)
    assert view.history_first_ms[row, :filled].tolist() == [slot.first_ms for slot in user.history]
    assert view.history_last_ms[row, :filled].tolist() == [slot.last_ms for slot in user.history]
    assert view.history_kinds[row, :filled].tolist() == [slot.kind for slot in user.history]
    assert view.history_views[row, :filled].tolist() == [slot.views for slot in user.history]
    assert view.history_purchases[row, :filled].tolist() == [slot.purchases for slot in user.history]
    decayed = np.array([slot.decayed for slot in user.history]) / ONE
    assert view.history_decayed[row, :filled].tolist() == decayed.astype(np.float32).tolist()


def test_the_same_event_id_again_is_dropped_while_it_is_remembered() -> None:
    states = StateCodec(layout=SMALL).new(np.array([1]))
    ids = [5, 5, 6, 7, 5, 8, 5]
    applied = fold_events(
        states, [click(at, 1, event_id=id_) for at, id_ in enumerate(ids)], layout=SMALL, config=CONFIG
    )
    assert applied == [True, False, True, True, False, True, True]  # three others push the first 5 out


def test_skipped_events_change_nothing() -> None:
    codec = StateCodec(layout=SMALL)
    states = codec.new(np.array([1]))
    untouched = states.copy()
    applied = fold(
        states,
        event_user=np.zeros(1, np.int32),
        event_ids=np.array([9]),
        event_times_ms=np.array([START_MS]),
        event_positions=np.zeros((1, 3), np.int64),
        skip=np.array([True]),
        interactions=columns_of([click(0, 1)]),
        layout=SMALL,
        config=CONFIG,
    )
    assert not applied.any()
    np.testing.assert_array_equal(states, untouched)


def test_a_gap_or_another_session_id_clears_the_session_and_keeps_the_history() -> None:
    gap = view_of(click(0, 1), click(31 * MINUTE_MS, 2))
    assert gap.session[0].tolist() == [2, 0, 0, 0]
    assert gap.history[0, :2].tolist() == [2, 1]
    other = view_of(click(0, 1, session_id=7), click(1, 2, session_id=8))
    assert other.session[0].tolist() == [2, 0, 0, 0]
    unknown = view_of(click(0, 1, session_id=7), click(1, 2), click(2, 3, session_id=7))
    assert unknown.session[0].tolist() == [3, 2, 1, 0]


def test_impressions_and_searches_keep_the_session_open_but_do_not_enter_it() -> None:
    shown = [event(at * 20 * MINUTE_MS, Kind.IMPRESSION, 5, 6) for at in range(1, 4)]
    view = view_of(click(0, 1), *shown, event(75 * MINUTE_MS, Kind.IMPRESSION), click(90 * MINUTE_MS, 2))
    assert view.session[0].tolist() == [2, 1, 0, 0]
    assert view.history[0, :3].tolist() == [2, 1, 0]


def test_a_refund_is_no_session_activity() -> None:
    view = view_of(click(0, 1), event(20 * MINUTE_MS, Kind.REFUND, 1), click(40 * MINUTE_MS, 2))
    assert view.session[0].tolist() == [2, 0, 0, 0]


def test_a_late_event_of_the_same_session_takes_its_place_in_time() -> None:
    view = view_of(click(10, 1), click(30, 3), click(20, 2), click(-MINUTE_MS, 4))
    assert view.session[0].tolist() == [3, 2, 1, 4]
    assert view.history[0, :4].tolist() == [3, 2, 1, 4]


def test_a_late_event_of_another_session_only_enters_the_history() -> None:
    view = view_of(click(0, 1, session_id=8), click(-MINUTE_MS, 2, session_id=7), click(-DAY_MS, 3))
    assert view.session[0].tolist() == [1, 0, 0, 0]
    assert view.history[0, :3].tolist() == [1, 2, 3]


def test_no_age_is_negative_however_late_events_are() -> None:
    view = view_of(click(0, 1), click(-3 * DAY_MS, 1), event(-DAY_MS, Kind.PURCHASE, 1))
    assert view.last_ms[0] == START_MS
    assert (view.history_last_ms[0, 0], view.history_first_ms[0, 0]) == (START_MS, START_MS - 3 * DAY_MS)
    assert view.history_kinds[0, 0] == Kind.CLICK


def test_late_and_ordered_events_leave_the_same_counts_and_frequencies() -> None:
    ordered = [click(0, 1), event(5 * DAY_MS, Kind.PURCHASE, 1), click(40 * DAY_MS, 1)]
    there, back = view_of(*ordered), view_of(*reversed(ordered))
    assert there.history_views[0, 0] == back.history_views[0, 0] == 2
    np.testing.assert_allclose(there.history_decayed[0, 0], back.history_decayed[0, 0], rtol=1e-6)


def test_uncart_and_refund_take_back_what_was_counted() -> None:
    cart = view_of(event(0, Kind.CART, 1), event(1, Kind.UNCART, 1), event(2, Kind.UNCART, 1, 2))
    assert (cart.history_views[0, 0], cart.history_decayed[0, 0]) == (0, 0)
    assert cart.history_kinds[0, 0] == Kind.UNCART
    assert cart.history[0].tolist() == [1, 0, 0, 0, 0, 0]  # nothing was ever done with item 2
    bought = [event(0, Kind.PURCHASE, 1), event(DAY_MS, Kind.PURCHASE, 1)]
    refunded = view_of(*bought, event(2 * DAY_MS, Kind.REFUND, 1))
    assert refunded.history_purchases[0, 0] == 1
    assert refunded.history_decayed[0, 0] == pytest.approx(2 ** (-1 / 60), rel=1e-6)
    assert refunded.history_last_ms[0, 0] == START_MS + DAY_MS


def test_an_item_twice_in_one_purchase_counts_once() -> None:
    view = view_of(event(0, Kind.PURCHASE, 1, 2, 1))
    assert view.history[0, :2].tolist() == [2, 1]
    assert view.history_purchases[0, :2].tolist() == [1, 1]
    assert view.session[0].tolist() == [2, 1, 0, 0]


def test_frequency_halves_in_a_half_life() -> None:
    view = view_of(event(0, Kind.PURCHASE, 1), event(60 * DAY_MS, Kind.PURCHASE, 1))
    assert view.history_decayed[0, 0] == 1.5


def test_frequency_decays_through_many_small_steps_as_through_one() -> None:
    hourly = [event(at * 3_600_000, Kind.PURCHASE, 1) for at in range(500)]
    expected = sum(2 ** (-at / (24 * 60)) for at in range(500))
    assert view_of(*hourly).history_decayed[0, 0] == pytest.approx(expected, rel=2e-3)


def test_half_life_table_is_exact_to_its_last_bit() -> None:
    table = half_life_table()
    steps = len(table) - 1
    for step, entry in enumerate(table.tolist()):
        assert entry**steps <= 2 ** (24 * steps - step) < (entry + 1) ** steps


def test_a_full_history_gives_up_the_least_frequent_of_its_older_half() -> None:
    favourites = [event(at, Kind.PURCHASE, at, session_id=1) for at in (1, 2)]
    seen_once = [click(at, at, session_id=1) for at in (3, 4, 5, 6, 7)]
    view = view_of(*favourites, *seen_once)
    assert view.history[0].tolist() == [7, 6, 5, 4, 2, 1]  # 3 was the only click in the older half
    assert view_of(*favourites, *seen_once, click(8, 8)).history[0].tolist() == [8, 7, 6, 5, 2, 1]


def test_counts_stop_at_what_a_float_holds() -> None:
    codec = StateCodec(layout=SMALL)
    states = codec.new(np.array([1]))
    fold_events(states, [click(0, 1)], layout=SMALL, config=CONFIG)
    states[0, SMALL.history_at + 3] += COUNT_MAX - 1
    fold_events(states, [click(1, 1)], layout=SMALL, config=CONFIG)
    view = codec.view(states, history=1)
    assert (view.history_views[0, 0], view.history_purchases[0, 0]) == (COUNT_MAX, 0)


def test_contexts_tell_known_users_and_buying_sessions() -> None:
    codec = StateCodec(layout=SMALL)
    states = codec.new(np.arange(1, 5))
    events = [
        Event(1, 0, START_MS, Kind.CART, [1]),
        Event(2, 0, START_MS, Kind.CLICK, [1, 2, 3, 4, 5]),
        Event(3, 0, START_MS, Kind.PURCHASE, [1, 2, 3, 4, 5]),
    ]
    fold_events(states, events, layout=SMALL, config=CONFIG)
    view = codec.view(states, history=2)
    assert view.contexts(np.full(4, START_MS)).tolist() == [0, 1, 2, 3]
    assert view.contexts(np.full(4, START_MS + DAY_MS)).tolist() == [0, 0, 2, 2]


@pytest.mark.parametrize(
    ("user", "time_ms"),
    [(1, START_MS), (-1, START_MS), (0, 0)],
)
def test_events_out_of_range_are_refused_and_change_nothing(user: int, time_ms: int) -> None:
    states = StateCodec(layout=SMALL).new(np.array([1]))
    untouched = states.copy()
    events = [click(0, 1), Event(user, 0, time_ms, Kind.CLICK, [2])]
    with pytest.raises(ValueError, match="event 1 of 2"):
        fold_events(states, events, layout=SMALL, config=CONFIG)
    np.testing.assert_array_equal(states, untouched)


def test_interactions_out_of_order_are_refused() -> None:
    states = StateCodec(layout=SMALL).new(np.array([1]))
    rows = columns_of([click(0, 1), click(1, 2)])
    with pytest.raises(ValueError, match="in order"):
        fold(
            states,
            event_user=np.zeros(2, np.int32),
            event_ids=np.zeros(2, np.int64),
            event_times_ms=np.full(2, START_MS),
            event_positions=np.zeros((2, 3), np.int64),
            skip=np.zeros(2, np.bool_),
            interactions=replace(rows, events=rows.events[::-1].copy()),
            layout=SMALL,
            config=CONFIG,
        )


def test_a_user_with_100_000_events_has_all_counted_and_a_state_no_larger_than_a_full_one() -> None:
    codec = StateCodec()
    states = codec.new(np.arange(1, 2))
    sizes = []
    for start in range(0, 100_000, 2_000):
        events = [click(n * 1_000, n % 5_000 + 1, event_id=n + 1) for n in range(start, start + 2_000)]
        fold_events(states, events, layout=codec.layout, config=CONFIG)
        sizes.append(len(codec.pack(states)[0]))
    assert states[0, EVENTS] == 100_000
    assert states[0, LAST_MS] == START_MS + 99_999_000
    assert sizes[-1] <= max(sizes[:3]) * 1.05
    view = codec.view(states, history=codec.layout.history)
    assert view.history[0, 0] == 99_999 % 5_000 + 1


@pytest.mark.parametrize(
    "wrong", [{"session_gap_ms": 0}, {"half_life_ms": 10}, {"click_weight": -1.0}, {"purchase_weight": 17.0}]
)
def test_fold_config_refuses_what_makes_no_sense(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        FoldConfig(**wrong)
