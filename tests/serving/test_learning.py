from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.types import AnyUserEvent
from index.sources.array_folder import load_arrays
from models.snapshots import restore_snapshot, save_snapshot
from serving.learning import LearningConfig
from tests.serving.learners import (
    basket,
    click,
    differences,
    learn,
    make_learning,
    random_events,
    state_of,
    successions,
)

Records = list[Sequence[AnyUserEvent]]


def in_records(events: Sequence[AnyUserEvent], sizes: Sequence[int]) -> Records:
    """The events cut into records of these sizes, again and again."""
    cut: Records = []
    start = 0
    while start < len(events):
        size = sizes[len(cut) % len(sizes)]
        cut.append(events[start : start + size])
        start += size
    return cut


def test_same_log_leaves_the_same_bits() -> None:
    records = in_records(random_events(300), [1])
    one, two = make_learning(), make_learning()
    reports = learn(one, records)
    assert len(reports) > 20
    assert sum(report.trained_units for report in reports) > 100
    learn(two, records)
    assert differences(state_of(one), state_of(two)) == []
    assert one.learning.report() == two.learning.report()


def test_another_order_leaves_other_bits() -> None:
    events = random_events(120)
    one, two = make_learning(), make_learning()
    learn(one, in_records(events, [1]))
    learn(two, in_records(events[::-1], [1]))
    assert differences(state_of(one), state_of(two)) != []


@settings(max_examples=5, deadline=None)
@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=5), parts=st.integers(1, 4))
def test_parts_in_which_a_record_is_taken_do_not_matter(sizes: list[int], parts: int) -> None:
    records = in_records(random_events(90), sizes)
    one, two = make_learning(), make_learning()
    learn(one, records)
    for record in records:
        for start in range(0, len(record), parts):
            two.learning.take(record[start : start + parts])
        if two.learning.due:
            two.learning.train()
    assert differences(state_of(one), state_of(two)) == []


def test_asking_whether_a_step_is_due_changes_nothing() -> None:
    events = in_records(random_events(120), [1])
    one, two = make_learning(), make_learning()
    learn(one, events)
    for record in events:
        two.learning.take(record)
        assert two.learning.due == two.learning.due
        if two.learning.due:
            two.learning.train()
    assert differences(state_of(one), state_of(two)) == []


def test_saved_midway_and_loaded_it_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    records = in_records(random_events(320), [2])
    whole, first, second = make_learning(), make_learning(), make_learning()
    learn(whole, records)
    saved_at = 0
    for at, record in enumerate(records):
        if learn(first, [record]) and at > 60:
            saved_at = at + 1
            break
    assert 60 < saved_at < len(records) - 40
    first.learning.save(tmp_path / "memory")
    save_snapshot(first.learner, tmp_path, extra={})
    assert restore_snapshot(second.learner, tmp_path) is not None
    second.learning.load(tmp_path / "memory")
    assert differences(state_of(first), state_of(second)) == []
    assert second.learning.report() == first.learning.report()
    learn(second, records[saved_at:])
    assert differences(state_of(whole), state_of(second)) == []
    assert second.learning.units == whole.learning.units
    assert second.learning.report() == whole.learning.report()


def test_response_to_drift_goes_on_after_a_restart_to_the_same_bits(tmp_path: Path) -> None:
    records = in_records(random_events(200), [1])
    first, second = make_learning(), make_learning()
    learn(first, records[:60])
    drift = first.learner.drift
    assert drift is not None
    drift.observe(np.zeros(1_024))
    assert drift.observe(np.ones(96))
    saved_at = 60
    while not learn(first, [records[saved_at]]):
        saved_at += 1
    assert first.recommender.bandit.exploration == first.learner.exploration > 10
    first.learning.save(tmp_path / "memory")
    save_snapshot(first.learner, tmp_path, extra={})
    assert restore_snapshot(second.learner, tmp_path) is not None
    second.learning.load(tmp_path / "memory")
    assert second.recommender.bandit.exploration == first.recommender.bandit.exploration
    assert second.recommender.remembered == first.recommender.remembered == 4
    learn(first, records[saved_at + 1 :])
    learn(second, records[saved_at + 1 :])
    assert differences(state_of(first), state_of(second)) == []


def test_waiting_units_are_not_saved_silently(tmp_path: Path) -> None:
    learnt = make_learning()
    learnt.learning.take([click("u", "i", number=0)])
    with pytest.raises(ValueError, match="1 units wait"):
        learnt.learning.save(tmp_path / "memory")


def units_of(events: Sequence[AnyUserEvent]) -> int:
    """How many units of known users the events are, all taken in one-unit steps."""
    learnt = make_learning(batch_units=1, chunk_units=1)
    learn(learnt, in_records(events, [1]))
    return learnt.learning.units


def test_what_was_just_looked_at_is_no_unit_whatever_is_done_to_it() -> None:
    first = click("u", "a", number=0)
    assert units_of([first, click("u", "a", number=1)]) == 0
    assert units_of([first, click("u", "b", number=1)]) == 1
    assert units_of([first, click("u", "b", number=1), click("u", "a", number=2)]) == 2
    assert units_of([first, basket("u", "a", number=1)]) == 0  # who looks at it needs no help to find it
    assert units_of([first, basket("u", "a", "b", number=1)]) == 1


def test_first_event_of_a_shopper_is_learnt_from_but_not_compared() -> None:
    learnt = make_learning(batch_units=1, chunk_units=1)
    reports = learn(learnt, [[click("u", "a", number=0)], [click("v", "a", number=1)]])
    assert learnt.learning.units == 0
    assert sum(report.units for report in reports) == 2
    assert learnt.learning.report()["headwater"]["units"] == 0
    assert learnt.learning.report()["recent_popularity"]["units"] == 0


def test_unit_is_predicted_before_it_is_learnt_from() -> None:
    learnt = make_learning(batch_units=1, chunk_units=1)
    learn(learnt, [[click("u", "a", number=0)], [click("u", "never-seen-before", number=1)]])
    report = learnt.learning.report()
    assert report["headwater"] == {"recall@20": 0.0, "mrr@20": 0.0, "units": 1.0}
    assert report["recent_popularity"] == {"recall@20": 0.0, "mrr@20": 0.0, "units": 1.0}


def test_baselines_are_right_on_a_stream_made_by_hand() -> None:
    learnt = make_learning(batch_units=1, chunk_units=1)
    events = [
        click("w", "a", number=0),
        click("x", "a", number=1),
        click("y", "b", number=2),
        click("u", "b", number=3),
        click("u", "c", number=4),  # c is new: neither baseline can know it
        click("u", "b", number=5),  # popularity: b 2, a 2, c 1; own: c and b once each, c later
        click("u", "a", number=6),  # popularity: b 3 first, a second; own: b, c, then popular a third
    ]
    learn(learnt, in_records(events, [1]))
    report = learnt.learning.report()
    # b at 5 comes first or second (a and b have two clicks; b's are later, so it decayed less): first
    assert report["recent_popularity"]["recall@20"] == pytest.approx(2 / 3)
    assert report["recent_popularity"]["mrr@20"] == pytest.approx((0 + 1 + 1 / 2) / 3)
    assert report["personal_frequency"]["recall@20"] == pytest.approx(2 / 3)
    assert report["personal_frequency"]["mrr@20"] == pytest.approx((0 + 1 / 2 + 1 / 3) / 3)


def test_planted_succession_is_learnt_better_than_popularity_knows_it() -> None:
    learnt = make_learning(batch_units=8)
    learn(learnt, in_records(successions(2400), [1]))
    report = learnt.learning.report()
    assert report["headwater"]["units"] > 1000
    assert report["headwater"]["mrr@20"] > 3 * report["recent_popularity"]["mrr@20"]
    assert report["headwater"]["mrr@20"] > 2 * report["personal_frequency"]["mrr@20"]


def test_no_pattern_is_found_where_there_is_none() -> None:
    learnt = make_learning(batch_units=8)
    items = 40
    rng = np.random.default_rng(5)
    events = [
        click(f"u{rng.integers(24)}", f"i{rng.integers(items)}", number=number) for number in range(1600)
    ]
    learn(learnt, in_records(events, [1]))
    by_chance = 20 / items  # the best twenty of forty equally likely ones
    assert learnt.learning.report()["headwater"]["recall@20"] == pytest.approx(by_chance, abs=0.06)


def test_states_of_the_latest_shoppers_only_are_kept(tmp_path: Path) -> None:
    learnt = make_learning(batch_units=1, chunk_units=1, users=10)
    learn(learnt, [[click(f"u{number}", "a", number=number)] for number in range(100)])
    learnt.learning.save(tmp_path)
    arrays = load_arrays(tmp_path / "states")
    assert bytes(arrays["states.users"]).decode() == "".join(f"u{number}" for number in range(90, 100))


@pytest.mark.parametrize("name", ["batch_units", "chunk_units", "history", "users", "window", "k"])
def test_config_of_nothing_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=rf"LearningConfig.{name} is 0"):
        LearningConfig(**{name: 0})
