"""Rows against a dict, and what happens when rows run out."""

import doctest

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import index.rows
from index.errors import CapacityError, SnapshotError
from index.rows import Rows

CAPACITY = 12
HASHES = st.integers(-15, 15) | st.sampled_from([2**63 - 1, -(2**63), 1 << 32, 3 << 40])
BATCHES = st.lists(st.lists(HASHES, max_size=8), max_size=25)


class DictRows:
    """What Rows promises, in a dict ordered by last use."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.row_of: dict[int, int] = {}

    def evict_for(self, batch: list[int]) -> list[int]:
        new = {key for key in batch if key and key not in self.row_of}
        short = len(new) - (self.capacity - 1 - len(self.row_of))
        if short <= 0:
            return []
        share = max(short, int(self.capacity * 0.01))
        victims = [key for key in self.row_of if key not in batch][:share]
        return sorted(self.row_of.pop(key) for key in victims)

    def use(self, key: int, row: int) -> None:
        self.row_of.pop(key, None)
        self.row_of[key] = row


@settings(max_examples=150, deadline=None)
@given(batches=BATCHES)
def test_rows_agree_with_a_dict_ordered_by_last_use(batches: list[list[int]]) -> None:
    rows, model = Rows(CAPACITY), DictRows(CAPACITY)
    for batch in batches:
        expected_evicted = model.evict_for(batch)
        given_rows, evicted = rows.assign(np.array(batch, np.int64))
        assert evicted.tolist() == expected_evicted
        for key, row in zip(batch, given_rows.tolist(), strict=True):
            if key == 0:
                assert row == 0
                continue
            assert model.row_of.get(key, row) == row
            assert row not in [other for name, other in model.row_of.items() if name != key]
            model.use(key, row)
        known = np.array([*model.row_of, 10**6, 0], np.int64)
        assert rows.lookup(known).tolist() == [*model.row_of.values(), 0, 0]
        assert len(rows) == len(model.row_of)
        assert {int(h): r for r, h in enumerate(rows.hashes) if h} == model.row_of


@settings(max_examples=60, deadline=None)
@given(batches=BATCHES)
def test_a_restored_copy_goes_on_alike(batches: list[list[int]]) -> None:
    first, half = Rows(CAPACITY), len(batches) // 2
    for batch in batches[:half]:
        first.assign(np.array(batch, np.int64))
    second = Rows(CAPACITY)
    second.restore(first.snapshot())
    for batch in batches[half:]:
        one, other = first.assign(np.array(batch, np.int64)), second.assign(np.array(batch, np.int64))
        assert [a.tolist() for a in one] == [a.tolist() for a in other]
    for name, array in first.snapshot().items():
        np.testing.assert_array_equal(second.snapshot()[name], array)


def test_how_a_log_is_cut_changes_nothing_while_rows_last() -> None:
    log = np.random.Generator(np.random.PCG64(1)).integers(-300, 300, 2000)
    whole, single = Rows(1024), Rows(1024)
    whole.assign(log)
    for at in range(len(log)):
        single.assign(log[at : at + 1])
    for name, array in whole.snapshot().items():
        np.testing.assert_array_equal(single.snapshot()[name], array)


def test_one_percent_goes_at_once_and_touched_rows_stay() -> None:
    rows = Rows(1001)
    rows.assign(np.arange(1, 1001))
    rows.touch(rows.lookup(np.array([1, 2, 3])))
    _, evicted = rows.assign(np.array([5000]))
    assert evicted.tolist() == list(range(4, 14))
    assert rows.lookup(np.array([1, 2, 3, 4, 13, 14])).tolist() == [1, 2, 3, 0, 0, 14]
    assert rows.lookup(np.array([5000])).tolist() == [4]


def test_a_batch_larger_than_the_rows_is_refused_and_changes_nothing() -> None:
    rows = Rows(4)
    rows.assign(np.array([1, 2]))
    before = rows.snapshot()
    with pytest.raises(CapacityError, match="1 ids more than the 3 rows"):
        rows.assign(np.array([1, 7, 8, 9]))
    for name, array in rows.snapshot().items():
        np.testing.assert_array_equal(before[name], array)


def test_a_snapshot_of_another_size_or_with_an_id_twice_is_refused() -> None:
    rows = Rows(8)
    rows.assign(np.array([3]))
    with pytest.raises(SnapshotError):
        rows.restore(Rows(9).snapshot())
    twice = rows.snapshot()
    twice["hashes"][5] = 3
    with pytest.raises(SnapshotError, match="two rows"):
        rows.restore(twice)
    assert rows.lookup(np.array([3])).tolist() == [1]


def test_memory_stays_as_allocated() -> None:
    rows = Rows(100)
    before = rows.nbytes
    for start in range(0, 5000, 50):
        rows.assign(np.arange(start + 1, start + 51))
    assert rows.nbytes == before
    assert len(rows) <= 99


def test_the_docstring_examples_run() -> None:
    assert doctest.testmod(index.rows).failed == 0


@pytest.mark.parametrize("capacity", [-1, 0, 1])
def test_too_few_rows_are_refused(capacity: int) -> None:
    with pytest.raises(ValueError, match=str(capacity)):
        Rows(capacity)
