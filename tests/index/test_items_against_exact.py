"""ItemIndex answers like exact search, whatever was upserted, removed, rebuilt, saved and loaded before."""

import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from numpy.typing import NDArray

from index.exact import ExactIndex
from index.items import ItemIndex

_DIM = 8
_ALL_LISTS = 1 << 20  # an IVF that reads every list is exact


def _vectors(n: int, *, seed: int, dim: int = _DIM) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)


def _assert_equal_answers(
    index: ItemIndex,
    oracle: ExactIndex,
    queries: NDArray[np.float32],
    n: int,
    *,
    allowed: NDArray[np.bool_] | None = None,
    exclude: NDArray[np.int32] | None = None,
) -> None:
    """The same scores in the same places, each of a row that has it: near-ties may change places."""
    rows, scores = index.search(queries, n, allowed=allowed, exclude=exclude)
    all_rows, all_scores = oracle.search(queries, max(n, len(oracle)), allowed=allowed, exclude=exclude)
    assert rows.dtype == np.int32
    assert rows.shape == (len(queries), n)
    np.testing.assert_allclose(scores, all_scores[:, :n], rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(rows > 0, all_rows[:, :n] > 0)
    for q in range(len(queries)):
        true_score = dict(zip(all_rows[q].tolist(), all_scores[q].tolist(), strict=True))
        found = rows[q][rows[q] > 0].tolist()
        assert len(set(found)) == len(found)
        assert set(found) <= set(true_score)
        np.testing.assert_allclose(
            scores[q][: len(found)], [true_score[row] for row in found], rtol=1e-5, atol=1e-5
        )


class ItemIndexMachine(RuleBasedStateMachine):
    """Random lives of an index, compared with the oracle after every step."""

    @initialize(flat=st.booleans(), fresh_limit=st.integers(1, 20))
    def make(self, flat: bool, fresh_limit: int) -> None:
        self.index = ItemIndex(
            _DIM,
            main_limit_flat=100_000 if flat else 25,
            fresh_limit=fresh_limit,
            nprobe=_ALL_LISTS,
        )
        self.oracle = ExactIndex(_DIM)
        self.version = 0

    @rule(rows=st.lists(st.integers(1, 2_000), min_size=1, max_size=60), seed=st.integers(0, 2**32))
    def upsert(self, rows: list[int], seed: int) -> None:
        vectors = _vectors(len(rows), seed=seed)
        self.index.upsert(np.array(rows, np.int32), vectors)
        self.oracle.upsert(np.array(rows, np.int32), vectors)

    @rule(rows=st.lists(st.integers(1, 2_000), max_size=60), share=st.floats(0, 1))
    def remove(self, rows: list[int], share: float) -> None:
        held = [row for row in range(1, 2_001) if row in self.oracle]
        gone = np.array(rows + held[: int(share * len(held))], np.int32)
        self.index.remove(gone)
        self.oracle.remove(gone)

    @rule()
    def rebuild(self) -> None:
        assert self.index.rebuild()
        assert not self.index.needs_rebuild

    @rule()
    def save_and_load(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            self.index.snapshot(Path(folder))
            loaded = ItemIndex.load(Path(folder))
        assert (loaded.version, loaded.main_kind) == (self.index.version, self.index.main_kind)
        assert loaded.needs_rebuild == self.index.needs_rebuild
        self.index = loaded

    @rule(seed=st.integers(0, 2**32), n=st.integers(1, 50), mask=st.sampled_from([0, 5, 500, 4_000]))
    def search_with_filters(self, seed: int, n: int, mask: int) -> None:
        chance = np.random.default_rng(seed)
        queries = _vectors(3, seed=seed)
        allowed = None if mask == 0 else chance.random(mask) < 0.4
        held = np.array([0, 1, *(row for row in range(1, 2_001) if row in self.oracle)], np.int32)
        exclude = chance.choice(held, size=(3, 7))
        _assert_equal_answers(self.index, self.oracle, queries, n, allowed=allowed, exclude=exclude)

    @invariant()
    def agrees(self) -> None:
        assert len(self.index) == len(self.oracle)
        assert self.index.version >= self.version
        self.version = self.index.version
        _assert_equal_answers(self.index, self.oracle, _vectors(2, seed=self.version), 10)


ItemIndexMachine.TestCase.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
TestItemIndex = ItemIndexMachine.TestCase


@pytest.mark.parametrize("main_limit_flat", [100_000, 300])
def test_changes_during_a_rebuild_in_another_thread_are_kept(main_limit_flat: int) -> None:
    index = ItemIndex(_DIM, main_limit_flat=main_limit_flat, fresh_limit=1, nprobe=_ALL_LISTS)
    oracle = ExactIndex(_DIM)
    rows = np.arange(1, 501, dtype=np.int32)
    index.upsert(rows, _vectors(500, seed=1))
    oracle.upsert(rows, _vectors(500, seed=1))
    stop = threading.Event()
    rebuilds: list[int] = []

    def keep_rebuilding() -> None:
        while not stop.is_set():
            index.rebuild()
            rebuilds.append(index.version)

    worker = threading.Thread(target=keep_rebuilding)
    worker.start()
    try:
        chance = np.random.default_rng(2)
        step = 0
        while step < 60 or len(rebuilds) < 10:
            step += 1
            changed = chance.integers(1, 600, 20).astype(np.int32)
            if step % 3:
                vectors = _vectors(20, seed=step)
                index.upsert(changed, vectors)
                oracle.upsert(changed, vectors)
            else:
                index.remove(changed)
                oracle.remove(changed)
            _assert_equal_answers(index, oracle, _vectors(2, seed=step), 15)
    finally:
        stop.set()
        worker.join()
    index.rebuild()
    assert len(index) == len(oracle)
    assert index.main_kind == ("flat" if main_limit_flat > 1_000 else "ivf")
    _assert_equal_answers(index, oracle, _vectors(8, seed=0), 100)
