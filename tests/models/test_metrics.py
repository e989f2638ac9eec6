import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import InputError
from models.metrics import SlidingWindow, rank_metrics

NEVER = -np.inf


def test_metrics_of_a_slate_worked_by_hand() -> None:
    scores = np.array([[0.1, 0.9, 0.5, NEVER]], np.float32)  # order: 1, 2, 0
    gains = np.array([[1, 0, 2, 0]], np.float32)
    measured = rank_metrics(scores, gains=gains, k=2)
    assert measured.recall == pytest.approx([0.5])
    assert measured.mrr == pytest.approx([0.5])
    assert measured.hit == pytest.approx([1.0])
    assert measured.ndcg == pytest.approx([(1 / math.log2(3)) / (1 + 1 / math.log2(3))])


def test_items_that_were_not_found_lower_the_recall() -> None:
    scores, gains = np.array([[2.0, 1.0]], np.float32), np.array([[1.0, 0.0]], np.float32)
    measured = rank_metrics(scores, gains=gains, k=20, relevant=np.array([4]))
    assert measured.recall == pytest.approx([0.25])


def test_recall_counts_at_most_k_relevant() -> None:
    scores, gains = np.array([[2.0, 1.0]], np.float32), np.array([[1.0, 1.0]], np.float32)
    assert rank_metrics(scores, gains=gains, k=2, relevant=np.array([30])).recall == pytest.approx([1.0])


def test_padding_is_never_a_hit_and_ties_go_to_the_lower_column() -> None:
    scores = np.array([[1.0, 1.0, NEVER]], np.float32)
    assert rank_metrics(scores, gains=np.array([[0, 0, 1]], np.float32), k=3).hit == pytest.approx([0.0])
    assert rank_metrics(scores, gains=np.array([[0, 1, 0]], np.float32), k=1).hit == pytest.approx([0.0])
    assert rank_metrics(scores, gains=np.array([[1, 0, 0]], np.float32), k=1).hit == pytest.approx([1.0])


def test_a_unit_without_anything_relevant_gets_zeros() -> None:
    measured = rank_metrics(np.ones((1, 3), np.float32), gains=np.zeros((1, 3), np.float32))
    assert [float(v[0]) for v in (measured.recall, measured.ndcg, measured.mrr, measured.hit)] == [0.0] * 4


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(InputError, match="one for each row"):
        rank_metrics(
            np.zeros((2, 3), np.float32), gains=np.ones((2, 3), np.float32), k=2, relevant=np.array([1])
        )
    with pytest.raises(InputError, match="alike"):
        rank_metrics(np.zeros((2, 3), np.float32), gains=np.zeros((2, 4), np.float32))


def plainly(
    scores: list[float], gains: list[float], *, k: int, relevant: int
) -> tuple[float, float, float, float]:
    """Recall, NDCG, MRR and hit rate of one unit, by sorting it."""
    ranked = [at for at in range(len(scores)) if scores[at] > NEVER]  # neither padding nor NaN
    ranked.sort(key=lambda at: (-scores[at], at))
    places = [place for place, at in enumerate(ranked[:k]) if gains[at] > 0]
    possible = min(k, relevant)
    ideal = sum(1 / math.log2(place + 2) for place in range(possible))
    found = sum(1 / math.log2(place + 2) for place in places)
    return (
        len(places) / possible if possible else 0.0,
        found / ideal if possible else 0.0,
        1 / (places[0] + 1) if places else 0.0,
        float(bool(places)),
    )


_SCORE = st.sampled_from([NEVER, float("nan"), -1.5, 0.0, 0.25, 0.5, 3.0])  # few, so that many are equal


@given(
    st.lists(st.tuples(_SCORE, st.sampled_from([0.0, 0.0, 1.0, 2.0])), min_size=1, max_size=30),
    st.integers(1, 25),
    st.integers(0, 40),
)
@settings(max_examples=300, deadline=None)
def test_metrics_are_those_of_a_sorted_list(candidates: list[tuple[float, float]], k: int, more: int) -> None:
    scores, gains = zip(*candidates, strict=True)
    relevant = sum(gain > 0 for gain in gains) + more
    measured = rank_metrics(
        np.array([scores], np.float32),
        gains=np.array([gains], np.float32),
        k=k,
        relevant=np.array([relevant]),
    )
    expected = plainly(list(scores), list(gains), k=k, relevant=relevant)
    got = [float(v[0]) for v in (measured.recall, measured.ndcg, measured.mrr, measured.hit)]
    assert got == pytest.approx(expected, rel=1e-6)


@given(st.lists(st.lists(st.floats(-5, 5), max_size=7), max_size=12), st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_window_is_the_mean_of_the_last_values_in_fixed_memory(batches: list[list[float]], size: int) -> None:
    window = SlidingWindow(size)
    for batch in batches:
        window.push(np.array(batch))
    last = [value for batch in batches for value in batch][-size:]
    assert len(window) == len(last)
    assert window.mean == pytest.approx(np.mean(last) if last else 0.0, abs=1e-12)
    assert window.snapshot()["ring"].shape == (size,)
    copy = SlidingWindow(size)
    copy.restore(window.snapshot())
    copy.push(np.array([1.0]))
    window.push(np.array([1.0]))
    assert copy.mean == window.mean
