"""What ItemIndex keeps, finds and refuses, and when it changes shape."""

import time

import numpy as np
import pytest
from numpy.typing import NDArray

from index.exact import ExactIndex
from index.item_errors import RowError, VectorError
from index.items import ItemIndex
from index.main_tier import IvfTier

_DIM = 8
_ALL_LISTS = 1 << 20  # an IVF that reads every list is exact


def _vectors(n: int, *, seed: int, dim: int = _DIM) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)


def _clustered(n: int, *, dim: int, clusters: int, seed: int) -> NDArray[np.float32]:
    chance = np.random.default_rng(seed)
    centres = chance.standard_normal((clusters, dim))
    points = centres[chance.integers(0, clusters, n)] + 0.5 * chance.standard_normal((n, dim))
    unit: NDArray[np.float32] = (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)
    return unit


def test_ivf_recall_on_clustered_vectors_is_high_and_survives_absorbed_changes() -> None:
    points = _clustered(6_000, dim=32, clusters=120, seed=3)
    rows = np.arange(1, len(points) + 1, dtype=np.int32)
    index = ItemIndex(32, main_limit_flat=2_000, nprobe=24)
    oracle = ExactIndex(32)
    index.upsert(rows[:5_000], points[:5_000])
    index.rebuild()
    assert index.main_kind == "ivf"
    index.upsert(rows[4_000:], points[::-1][4_000:])
    index.remove(rows[:500])
    index.rebuild()
    oracle.upsert(rows[500:4_000], points[500:4_000])
    oracle.upsert(rows[4_000:], points[::-1][4_000:])
    assert len(index) == len(oracle) == 5_500
    queries = _clustered(20, dim=32, clusters=120, seed=3)
    found, _ = index.search(queries, 20)
    true, _ = oracle.search(queries, 20)
    recall = np.mean([len(set(f) & set(t)) / 20 for f, t in zip(found.tolist(), true.tolist(), strict=True)])
    assert recall > 0.9


def test_a_narrow_filter_on_ivf_still_finds_all_that_is_allowed() -> None:
    points = _clustered(4_000, dim=16, clusters=50, seed=4)
    index = ItemIndex(16, main_limit_flat=1_000, nprobe=1)
    index.upsert(np.arange(1, 4_001, dtype=np.int32), points)
    index.rebuild()
    allowed = np.zeros(4_001, np.bool_)
    allowed[[5, 900, 3_999]] = True
    found, _ = index.search(points[:4], 10, allowed=allowed)
    assert [set(row) - {0} for row in found.tolist()] == [{5, 900, 3_999}] * 4


def test_an_ivf_absorbs_changes_in_place_and_is_trained_anew_once_it_has_doubled() -> None:
    rows = np.arange(1, 2_601, dtype=np.int32)
    vectors = _vectors(2_600, seed=5)
    index = ItemIndex(_DIM, main_limit_flat=500, nprobe=_ALL_LISTS)
    trained = []
    for stop in (1_000, 1_900, 2_600):
        index.upsert(rows[:stop], vectors[:stop])
        index.rebuild()
        assert isinstance(index._main, IvfTier)
        trained.append(index._main.trained_on)
        assert len(index._main) == len(index) == stop
    assert trained == [1_000, 1_000, 2_600]


def test_an_index_that_shrinks_becomes_flat_and_then_empty() -> None:
    rows = np.arange(1, 801, dtype=np.int32)
    index = ItemIndex(_DIM, main_limit_flat=500, fresh_limit=10)
    index.upsert(rows, _vectors(800, seed=6))
    kinds = []
    for gone in (rows[:0], rows[:400], rows):
        index.remove(gone)
        index.rebuild()
        kinds.append((index.main_kind, len(index)))
    assert kinds == [("ivf", 800), ("flat", 400), ("none", 0)]
    assert not index.search(_vectors(1, seed=1), 5)[0].any()


def test_needs_rebuild_counts_fresh_vectors_and_tombstones() -> None:
    rows = np.arange(1, 101, dtype=np.int32)
    index = ItemIndex(_DIM, fresh_limit=20)
    index.upsert(rows[:20], _vectors(20, seed=7))
    assert not index.needs_rebuild
    index.upsert(rows, _vectors(100, seed=7))
    assert index.needs_rebuild
    index.rebuild()
    assert not index.needs_rebuild
    index.remove(rows[:25])
    assert not index.needs_rebuild
    index.remove(rows[25:26])
    assert index.needs_rebuild


def test_scores_do_not_change_when_vectors_move_to_the_main_tier() -> None:
    index = ItemIndex(64)
    index.upsert(np.arange(1, 201, dtype=np.int32), _vectors(200, seed=8, dim=64))
    queries = _vectors(5, seed=9, dim=64)
    before = index.search(queries, 200)
    index.rebuild()
    after = index.search(queries, 200)
    np.testing.assert_array_equal(before[0], after[0])
    np.testing.assert_allclose(before[1], after[1], rtol=1e-5, atol=1e-5)


def test_ties_go_to_the_lower_row() -> None:
    index = ItemIndex(2)
    same = np.ones((4, 2), np.float32)
    index.upsert(np.array([9, 4], np.int32), same[:2])
    index.rebuild()
    index.upsert(np.array([7, 2], np.int32), same[:2])
    assert index.search(same[:1], 6)[0].tolist() == [[2, 4, 7, 9, 0, 0]]


def test_a_query_of_zeros_is_near_nothing() -> None:
    index = ItemIndex(_DIM)
    index.upsert(np.array([1], np.int32), _vectors(1, seed=1))
    rows, scores = index.search(np.zeros((1, _DIM), np.float32), 3)
    assert not rows.any()
    assert not scores.any()


@pytest.mark.parametrize("n", [0, 1])
def test_empty_index_and_empty_batches_give_empty_answers(n: int) -> None:
    index = ItemIndex(_DIM)
    index.upsert(np.zeros(0, np.int32), np.zeros((0, _DIM), np.float32))
    index.remove(np.zeros(0, np.int32))
    assert index.search(_vectors(2, seed=1), n)[0].shape == (2, n)
    index.upsert(np.array([1], np.int32), _vectors(1, seed=1))
    index.rebuild()
    assert index.search(np.zeros((0, _DIM), np.float32), n)[0].shape == (0, n)
    assert index.search(_vectors(2, seed=1), n)[0].tolist() == [[1] * n] * 2


@pytest.mark.parametrize(
    ("rows", "vectors", "error", "says"),
    [
        ([1], np.ones((1, _DIM + 1), np.float32), VectorError, r"\(1, 9\); they must be \(n, 8\)"),
        ([1], np.ones(_DIM, np.float32), VectorError, r"must be \(n, 8\)"),
        ([1, 2], np.full((2, _DIM), np.nan, np.float32), VectorError, "vector 0 is not finite"),
        ([1], np.full((1, _DIM), 1e6, np.float32), VectorError, "65504"),
        ([1], np.zeros((1, _DIM), np.float32), VectorError, "zero"),
        ([1], np.full((1, _DIM), 1e-12, np.float32), VectorError, "zero in float16"),
        ([0], np.ones((1, _DIM), np.float32), RowError, "row 0 is outside"),
        ([1, -3], np.ones((2, _DIM), np.float32), RowError, "row -3 is outside"),
        ([101], np.ones((1, _DIM), np.float32), RowError, "outside 1..100"),
        ([1, 2], np.ones((1, _DIM), np.float32), RowError, "2 rows were given with 1 vectors"),
        ([[1]], np.ones((1, _DIM), np.float32), RowError, "shape"),
    ],
)
def test_bad_upsert_is_refused_and_changes_nothing(
    rows: list[int], vectors: NDArray[np.float32], error: type[Exception], says: str
) -> None:
    index = ItemIndex(_DIM, max_row=100)
    with pytest.raises(error, match=says):
        index.upsert(np.array(rows), vectors)
    assert len(index) == 0
    assert index.version == 0


def test_bad_queries_and_masks_are_refused() -> None:
    index = ItemIndex(_DIM)
    queries = _vectors(2, seed=1)
    with pytest.raises(VectorError, match="queries have shape"):
        index.search(queries[:, :3], 5)
    with pytest.raises(VectorError, match="not finite"):
        index.search(np.full((1, _DIM), np.nan, np.float32), 5)
    with pytest.raises(VectorError, match="n is -1"):
        index.search(queries, -1)
    with pytest.raises(RowError, match="allowed"):
        index.search(queries, 5, allowed=np.ones(4, np.int64))
    with pytest.raises(RowError, match="exclude"):
        index.search(queries, 5, exclude=np.zeros((3, 1), np.int32))


@pytest.mark.parametrize("name", ["dim", "main_limit_flat", "fresh_limit", "nprobe", "max_row"])
def test_limits_below_one_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} is 0"):
        ItemIndex(**{"dim": 4, name: 0})  # type: ignore[arg-type]


def test_ten_times_the_changes_leave_no_more_memory_behind() -> None:
    def size_after(changes: int) -> tuple[int, int]:
        index = ItemIndex(_DIM, fresh_limit=50)
        for step in range(changes):
            rows = np.arange(1, 201, dtype=np.int32)
            index.upsert(rows, _vectors(200, seed=step))
            if index.needs_rebuild:
                index.rebuild()
        assert index._main is not None
        return len(index._main), len(index._fresh._rows)

    assert size_after(40) == size_after(4)


def test_searching_20_000_items_takes_milliseconds() -> None:
    points = _clustered(20_000, dim=384, clusters=200, seed=14)
    index = ItemIndex(384)
    index.upsert(np.arange(1, 20_001, dtype=np.int32), points)
    index.rebuild()
    took_s = []
    for _ in range(3):
        started = time.perf_counter()
        rows, _ = index.search(points[:32], 10)
        took_s.append(time.perf_counter() - started)
        assert (rows[:, 0] == np.arange(1, 33)).all()
    assert min(took_s) < 1.0  # some 20 ms on a quiet core
