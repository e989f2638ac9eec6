import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from index.sources.base import LearnBatch, Limits
from index.sources.item_habits import ItemHabits

HOUR_MS = 3_600_000
SMALL = Limits(items=16, users=16, sessions=16)


def touches(*rows: tuple[int, int, float]) -> LearnBatch:
    """Of (user, item, hour), one event each."""
    users, items, hours = (np.array(column) for column in zip(*rows, strict=True))
    count = len(rows)
    return LearnBatch(
        users=users.astype(np.int32),
        items=items.astype(np.int32),
        kinds=np.full(count, 5, np.int8),
        times_ms=(hours * HOUR_MS).astype(np.int64),
        quantities=np.ones(count, np.float32),
        events=np.arange(count, dtype=np.int32),
        sessions=np.ones(count, np.int32),
        session_at=np.zeros(count, np.int64),
        user_at=np.zeros(count, np.int64),
    )


def test_a_return_counts_with_its_interval() -> None:
    habits = ItemHabits(SMALL, pairs=64)
    habits.learn(touches((1, 3, 0.0), (2, 3, 5.0), (1, 3, 24.0)))
    assert_allclose(habits.sums[3], [3, 1, np.log1p(24.0)], rtol=1e-6)


def test_touches_within_an_hour_are_one_visit() -> None:
    habits = ItemHabits(SMALL, pairs=64)
    habits.learn(touches((1, 3, 0.0), (1, 3, 0.5), (1, 3, 1.0)))
    assert_array_equal(habits.sums[3], [1, 0, 0])


def test_another_user_or_item_is_no_return_even_when_the_table_is_tiny() -> None:
    habits = ItemHabits(SMALL, pairs=2)
    habits.learn(touches(*((user, item, 10.0 * user) for user in range(1, 9) for item in range(1, 9))))
    assert habits.sums[:, 1].sum() == 0
    assert habits.sums[:, 0].sum() == 64


def test_an_evicted_row_starts_anew() -> None:
    habits = ItemHabits(SMALL, pairs=64)
    habits.learn(touches((1, 3, 0.0)))
    habits.evict(np.array([3], np.int32))
    habits.learn(touches((1, 3, 50.0)))
    assert_array_equal(habits.sums[3], [1, 0, 0])


def test_learning_does_not_depend_on_how_the_log_is_cut() -> None:
    rng = np.random.default_rng(3)
    rows = [(int(u), int(i), float(h)) for h, (u, i) in enumerate(rng.integers(1, 8, (200, 2)))]
    whole, parts = ItemHabits(SMALL, pairs=16), ItemHabits(SMALL, pairs=16)
    whole.learn(touches(*rows))
    for start in range(0, 200, 7):
        parts.learn(touches(*rows[start : start + 7]))
    for name, array in whole.snapshot().items():
        assert_array_equal(parts.snapshot()[name], array)


def test_a_snapshot_gives_the_state_back() -> None:
    habits, again = ItemHabits(SMALL, pairs=64), ItemHabits(SMALL, pairs=64)
    habits.learn(touches((1, 3, 0.0), (1, 3, 24.0)))
    again.restore(habits.snapshot())
    again.learn(touches((1, 3, 48.0)))
    assert_array_equal(again.sums[3, :2], [3, 2])


def test_pairs_must_be_a_power_of_two() -> None:
    with pytest.raises(ValueError, match="pairs is 3"):
        ItemHabits(SMALL, pairs=3)
