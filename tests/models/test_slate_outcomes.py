"""Slates are joined with what became of them once, in event time, whatever the order of arrival."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.columns import Kind
from models.errors import ConfigError, InputError, SnapshotError
from models.slate_outcomes import SlateOutcomes
from models.slate_records import Joined, OutcomesConfig, Recommended

_WINDOW = 1_000
_CONFIG = OutcomesConfig(window_ms=_WINDOW, capacity=100)


def _slate(rec_id: str = "r", *, at_ms: int = 0, items: tuple[int, ...] = (11, 12, 13)) -> Recommended:
    return Recommended(
        rec_id=rec_id,
        user=5,
        at_ms=at_ms,
        context=1,
        arm=2,
        arm_propensity=0.25,
        items=items,
        propensities=tuple(0.5 for _ in items),
    )


def _joined(outcomes: SlateOutcomes, now_ms: int = _WINDOW) -> Joined:
    (joined,) = outcomes.advance(now_ms)
    return joined


def test_a_slate_is_closed_at_the_end_of_its_window_and_once() -> None:
    outcomes = SlateOutcomes(_CONFIG)
    outcomes.recommended(_slate())
    outcomes.happened("r", items=(11, 12), kind=Kind.IMPRESSION, at_ms=10)
    outcomes.happened("r", items=(12,), kind=Kind.CLICK, at_ms=20)
    outcomes.happened("r", items=(12,), kind=Kind.PURCHASE, at_ms=999)
    assert outcomes.advance(_WINDOW - 1) == []
    joined = _joined(outcomes)
    assert joined.recommended == _slate()
    assert joined.shown.tolist() == [True, True, False]
    assert joined.clicked.tolist() == [False, True, False]
    assert joined.carted.tolist() == [False, False, False]
    assert joined.purchased.tolist() == [False, True, False]
    assert joined.reward == 1.0
    assert outcomes.advance(10 * _WINDOW) == []
    assert (len(outcomes), outcomes.counts.joined) == (0, 1)


def test_a_shown_slate_without_outcomes_earns_nothing_but_is_joined() -> None:
    outcomes = SlateOutcomes(_CONFIG)
    outcomes.recommended(_slate(items=(11, 12, 0)))
    outcomes.happened("r", items=(), kind=Kind.IMPRESSION, at_ms=10)
    joined = _joined(outcomes)
    assert joined.shown.tolist() == [True, True, False]
    assert joined.reward == 0.0


def test_a_slate_that_was_never_shown_is_counted_and_left_out() -> None:
    outcomes = SlateOutcomes(_CONFIG)
    outcomes.recommended(_slate())
    assert outcomes.advance(_WINDOW) == []
    assert outcomes.counts.never_shown == 1


def test_an_outcome_without_any_impression_means_that_the_slate_was_shown() -> None:
    outcomes = SlateOutcomes(_CONFIG)
    outcomes.recommended(_slate(items=(11, 12, 0)))
    outcomes.happened("r", items=(12,), kind=Kind.CART, at_ms=10)
    assert _joined(outcomes).shown.tolist() == [True, True, False]


def test_an_outcome_on_an_item_outside_the_impression_means_that_the_item_was_shown() -> None:
    outcomes = SlateOutcomes(_CONFIG)
    outcomes.recommended(_slate())
    outcomes.happened("r", items=(11,), kind=Kind.IMPRESSION, at_ms=10)
    outcomes.happened("r", items=(13,), kind=Kind.CLICK, at_ms=11)
    assert _joined(outcomes).shown.tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("happenings", "reward"),
    [
        ([(11, Kind.CLICK)], 0.2),
        ([(11, Kind.CLICK), (11, Kind.CLICK)], 0.2),
        ([(11, Kind.CLICK), (12, Kind.CLICK)], 0.4),
        ([(11, Kind.CLICK), (11, Kind.CART)], 0.5),
        ([(11, Kind.CART), (12, Kind.CART), (13, Kind.CLICK)], 1.0),
        ([(11, Kind.CLICK), (11, Kind.CART), (11, Kind.UNCART)], 0.2),
        ([(11, Kind.PURCHASE), (11, Kind.REFUND), (12, Kind.CLICK)], 0.2),
    ],
)
def test_the_reward_adds_each_items_best_outcome_up_to_1(
    happenings: list[tuple[int, Kind]], reward: float
) -> None:
    outcomes = SlateOutcomes(_CONFIG)
    outcomes.recommended(_slate())
    for at, (item, kind) in enumerate(happenings):
        outcomes.happened("r", items=(item,), kind=kind, at_ms=at)
    assert _joined(outcomes).reward == pytest.approx(reward)


def test_late_outcome_is_dropped_after_the_window() -> None:
    outcomes = SlateOutcomes(_CONFIG)
    outcomes.recommended(_slate())
    outcomes.happened("r", items=(11,), kind=Kind.CLICK, at_ms=5)
    outcomes.happened("r", items=(12,), kind=Kind.CLICK, at_ms=_WINDOW)  # read in time, happened too late
    assert _joined(outcomes).clicked.tolist() == [True, False, False]
    outcomes.happened("r", items=(13,), kind=Kind.CLICK, at_ms=6)  # happened in time, read too late
    assert outcomes.advance(5 * _WINDOW) == []
    assert outcomes.counts.late == 2
    assert outcomes.counts.unknown == 0


def test_an_outcome_read_before_its_recommendation_waits_for_it() -> None:
    outcomes = SlateOutcomes(_CONFIG)
    outcomes.advance(10_000)
    outcomes.happened("r", items=(12,), kind=Kind.CLICK, at_ms=10_020)
    outcomes.advance(10_500)
    outcomes.recommended(_slate(at_ms=10_000))
    assert _joined(outcomes, 11_000).clicked.tolist() == [False, True, False]


def test_what_is_said_of_a_slate_that_never_comes_is_counted_as_unknown() -> None:
    outcomes = SlateOutcomes(_CONFIG)
    outcomes.happened("ghost", items=(12,), kind=Kind.CLICK, at_ms=500)
    outcomes.happened("ghost", items=(12,), kind=Kind.CART, at_ms=600)
    outcomes.advance(500 + _WINDOW - 1)
    assert outcomes.counts.unknown == 0
    outcomes.advance(500 + _WINDOW)
    assert outcomes.counts.unknown == 2


def test_an_item_outside_the_slate_is_counted_and_ignored() -> None:
    outcomes = SlateOutcomes(_CONFIG)
    outcomes.recommended(_slate(items=(11, 12, 0)))
    outcomes.happened("r", items=(99, 0, 11), kind=Kind.CLICK, at_ms=5)
    assert _joined(outcomes).clicked.tolist() == [True, False, False]
    assert outcomes.counts.mismatched == 2


def test_a_redelivered_recommendation_changes_nothing_open_or_closed() -> None:
    outcomes = SlateOutcomes(_CONFIG)
    outcomes.recommended(_slate())
    outcomes.happened("r", items=(11,), kind=Kind.CLICK, at_ms=5)
    outcomes.recommended(_slate())
    assert _joined(outcomes).clicked.tolist() == [True, False, False]
    outcomes.recommended(_slate())
    assert outcomes.advance(5 * _WINDOW) == []
    assert outcomes.counts.repeated == 2


def test_a_recommendation_whose_window_has_ended_is_dropped() -> None:
    outcomes = SlateOutcomes(_CONFIG)
    outcomes.advance(5_000)
    outcomes.recommended(_slate(at_ms=4_000))
    assert (len(outcomes), outcomes.counts.late_slates) == (0, 1)
    outcomes.recommended(_slate("s", at_ms=4_001))
    assert len(outcomes) == 1


def test_event_time_does_not_run_back() -> None:
    outcomes = SlateOutcomes(_CONFIG)
    outcomes.advance(5_000)
    outcomes.recommended(_slate(at_ms=4_500))
    assert outcomes.advance(100) == []
    assert outcomes.now_ms == 5_000


def test_slates_close_oldest_first_and_in_order_of_arrival_when_as_old() -> None:
    outcomes = SlateOutcomes(_CONFIG)
    for rec_id, at_ms in (("c", 30), ("b", 10), ("a", 10), ("d", 20)):
        outcomes.recommended(_slate(rec_id, at_ms=at_ms))
        outcomes.happened(rec_id, items=(), kind=Kind.IMPRESSION, at_ms=at_ms)
    assert [j.recommended.rec_id for j in outcomes.advance(9_999)] == ["b", "a", "d", "c"]


def test_ten_times_the_stream_leaves_no_more_memory_behind() -> None:
    config = OutcomesConfig(window_ms=_WINDOW, capacity=50)

    def size_after(n: int) -> tuple[int, int, int, int]:
        outcomes = SlateOutcomes(config)
        for i in range(n):
            outcomes.recommended(_slate(f"r{i}", at_ms=i))
            outcomes.happened(f"r{i}", items=(11,), kind=Kind.CLICK, at_ms=i)
            outcomes.happened(f"ghost{i}", items=(11,), kind=Kind.CLICK, at_ms=i)
        assert outcomes.counts.evicted == 2 * (n - 50)
        return len(outcomes), len(outcomes._order), len(outcomes._closed), outcomes._n_waiting

    assert size_after(400) == size_after(4_000) == (50, 50, 50, 50)


def test_the_oldest_slate_gives_way_and_its_outcomes_are_late() -> None:
    outcomes = SlateOutcomes(OutcomesConfig(window_ms=_WINDOW, capacity=1))
    outcomes.recommended(_slate("young", at_ms=10))
    outcomes.recommended(_slate("old", at_ms=5))
    outcomes.happened("old", items=(11,), kind=Kind.CLICK, at_ms=20)
    outcomes.happened("young", items=(11,), kind=Kind.CLICK, at_ms=20)
    assert [j.recommended.rec_id for j in outcomes.advance(9_999)] == ["young"]
    assert (outcomes.counts.evicted, outcomes.counts.late) == (1, 1)


_steps = st.lists(
    st.one_of(
        st.tuples(st.just("slate"), st.integers(0, 9), st.integers(0, 3_000)),
        st.tuples(
            st.just("said"),
            st.integers(0, 9),
            st.integers(0, 3_000),
            st.sampled_from([kind for kind in Kind if kind is not Kind.PAD]),
            st.lists(st.sampled_from([11, 12, 13, 99]), max_size=2),
        ),
        st.tuples(st.just("advance"), st.integers(0, 4_500)),
    ),
    max_size=40,
)


def _run(outcomes: SlateOutcomes, steps: list[Any]) -> list[Any]:
    seen: list[Any] = []
    for step in steps:
        match step:
            case ("slate", name, at_ms):
                outcomes.recommended(_slate(f"r{name}", at_ms=at_ms))
            case ("said", name, at_ms, kind, items):
                outcomes.happened(f"r{name}", items=tuple(items), kind=kind, at_ms=at_ms)
            case ("advance", now_ms):
                for joined in outcomes.advance(now_ms):
                    masks = np.stack([joined.shown, joined.clicked, joined.carted, joined.purchased])
                    seen.append((joined.recommended, masks.tolist(), joined.reward))
    return seen


@settings(max_examples=100, deadline=None)
@given(before=_steps, after=_steps, capacity=st.integers(1, 6))
def test_a_restored_joiner_goes_on_exactly_as_the_one_that_was_saved(
    before: list[Any], after: list[Any], capacity: int
) -> None:
    config = OutcomesConfig(window_ms=_WINDOW, capacity=capacity)
    outcomes = SlateOutcomes(config)
    _run(outcomes, before)
    restored = SlateOutcomes.from_state(json.loads(json.dumps(outcomes.state())), config=config)
    assert restored.state() == outcomes.state()
    closing = [*after, ("advance", 10_000)]
    assert _run(outcomes, closing) == _run(restored, closing)
    assert restored.state() == outcomes.state()


@settings(max_examples=100, deadline=None)
@given(steps=_steps)
def test_every_slate_is_joined_or_counted_once_and_all_said_of_it_in_time_is_in_it(steps: list[Any]) -> None:
    outcomes = SlateOutcomes(_CONFIG)
    seen = _run(outcomes, [*steps, ("advance", 10_000)])
    counts = outcomes.counts
    offered = sum(step[0] == "slate" for step in steps)
    assert counts.joined + counts.never_shown + counts.repeated + counts.late_slates == offered
    assert len(seen) == counts.joined == len({slate.rec_id for slate, _, _ in seen})
    assert all(any(masks[0]) and 0 <= reward <= 1 for _, masks, reward in seen)
    assert len(outcomes) == 0


@pytest.mark.parametrize(
    "cut", [{"format": 0}, {"open": [{"arrival": 1}]}, {"counts": {"other": 1}}, {"waiting": 3}]
)
def test_a_damaged_state_is_refused(cut: dict[str, Any]) -> None:
    with pytest.raises(SnapshotError, match="saved outcomes"):
        SlateOutcomes.from_state(SlateOutcomes(_CONFIG).state() | cut, config=_CONFIG)


def test_wrong_slates_kinds_and_settings_are_refused() -> None:
    outcomes = SlateOutcomes(_CONFIG)
    with pytest.raises(InputError, match="no item twice"):
        outcomes.recommended(_slate(items=(11, 11)))
    with pytest.raises(InputError, match="kind is"):
        outcomes.happened("r", items=(), kind=Kind.PAD, at_ms=0)
    with pytest.raises(ConfigError, match="window_ms is 0"):
        OutcomesConfig(window_ms=0)
    with pytest.raises(ConfigError, match="rewards"):
        OutcomesConfig(click=0.9)


def test_what_waits_for_a_slate_is_bounded_by_its_items_too() -> None:
    outcomes = SlateOutcomes(OutcomesConfig(window_ms=1_000, capacity=50))
    for number in range(500):
        outcomes.happened(f"r{number}", items=tuple(range(1, 101)), kind=Kind.IMPRESSION, at_ms=0)
        assert (
            sum(len(said["items"]) for _, group in outcomes.state()["waiting"] for said in group["said"])
            <= 500
        )
    assert outcomes.counts.evicted == 495
    again = SlateOutcomes.from_state(outcomes.state(), config=outcomes.config)
    again.happened("another", items=tuple(range(1, 101)), kind=Kind.IMPRESSION, at_ms=0)
    assert again.counts.evicted == 496
