import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from numpy.typing import NDArray

from index.errors import SnapshotError
from index.sources.base import LearnBatch, Limits
from index.sources.long_tail import LongTail

SMALL = Limits(items=40, users=16, sessions=16)


def touches(items: list[int]) -> LearnBatch:
    count = len(items)
    ones = np.ones(count, np.int32)
    return LearnBatch(
        users=ones,
        items=np.array(items, np.int32),
        kinds=np.full(count, 5, np.int8),
        times_ms=np.arange(count, dtype=np.int64),
        quantities=np.full(count, 7, np.float32),
        events=np.arange(count, dtype=np.int32),
        sessions=ones,
        session_at=np.zeros(count, np.int64),
        user_at=np.zeros(count, np.int64),
    )


def head_of(counts: NDArray[np.int32]) -> set[int]:
    """The most touched fifth by sorting; who is tied with the first beyond it is not of it."""
    ranked = np.sort(counts[counts > 0])[::-1]
    most = math.ceil(0.2 * len(ranked))
    beyond = ranked[most] if len(ranked) > most else 0
    return set(np.flatnonzero(counts > beyond).tolist())


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), count=st.integers(1, 400), cut=st.integers(1, 50))
def test_the_head_is_the_most_touched_fifth_however_the_log_is_cut(seed: int, count: int, cut: int) -> None:
    chance = np.random.default_rng(seed)
    items = np.minimum(chance.geometric(0.1, count), 39).tolist()
    tail = LongTail(SMALL)
    for start in range(0, count, cut):
        tail.learn(touches(items[start : start + cut]))
    counts = np.bincount(items, minlength=40)
    assert_array_equal(tail.counts, counts)
    rows = np.arange(1, 40, dtype=np.int32)
    assert set(rows[~tail.is_tail(rows)].tolist()) == head_of(tail.counts)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_restored_and_evicted_state_goes_on_as_if_nothing_else_had_been(seed: int) -> None:
    chance = np.random.default_rng(seed)
    items = np.minimum(chance.geometric(0.15, 200), 39)
    first = LongTail(SMALL)
    first.learn(touches(items[:120].tolist()))
    second = LongTail(SMALL)
    second.restore(first.snapshot())
    gone = np.array([1, 5], np.int32)
    for tail in (first, second):
        tail.evict(gone)
        tail.learn(touches(items[120:].tolist()))
    assert first.level == second.level
    plain = LongTail(SMALL)
    plain.learn(touches([item for item in items[:120].tolist() if item not in (1, 5)] + items[120:].tolist()))
    assert_array_equal(first.counts, plain.counts)
    assert first.level == plain.level


def test_items_are_young_until_more_than_five_touched_them() -> None:
    tail = LongTail(SMALL)
    tail.learn(touches([3] * 5 + [4] * 6))
    assert tail.is_young(np.array([[2, 3], [4, 4]], np.int32)).tolist() == [[True, True], [False, False]]


def test_a_snapshot_of_another_size_and_wrong_settings_are_refused() -> None:
    with pytest.raises(SnapshotError):
        LongTail(SMALL).restore({"counts": np.zeros(3, np.int32)})
    with pytest.raises(ValueError, match="head_share is 1"):
        LongTail(SMALL, head_share=1.0)
    with pytest.raises(ValueError, match="young_at_most -1"):
        LongTail(SMALL, young_at_most=-1)
