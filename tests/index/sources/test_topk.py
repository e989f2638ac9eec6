"""Selection against sorting everything."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from index.sources.topk import add_to, best_of, clear

SCORES = st.lists(st.sampled_from([0.0, -1.0, 0.5, 0.5 + 1e-12, 1.0, 2.0, 3.5, 1e30]), max_size=40)


@settings(max_examples=200, deadline=None)
@given(scores=SCORES, n=st.integers(1, 12), seed=st.integers(0, 5))
def test_the_best_come_first_and_ties_go_to_the_lower_row(scores: list[float], n: int, seed: int) -> None:
    totals = np.array([0.0, *scores])
    touched = np.random.Generator(np.random.PCG64(seed)).permutation(len(scores)).astype(np.int32) + 1
    rows, kept = np.full(n, 9, np.int32), np.full(n, 9, np.float32)
    size = best_of(touched.astype(np.int32), len(touched), totals, rows, kept)
    ranked = sorted((-np.float32(s), row) for row, s in enumerate(scores, start=1) if np.float32(s) > 0)[:n]
    assert size == len(ranked)
    assert rows.tolist() == [row for _, row in ranked] + [0] * (n - size)
    assert kept.tolist() == [-s for s, _ in ranked] + [0] * (n - size)


def test_totals_are_zero_again_after_clear() -> None:
    totals, touched = np.zeros(6), np.zeros(6, np.int32)
    count = 0
    for row in (4, 2, 4, 5):
        count = add_to(totals, touched, count, row, 0.5)
    assert touched[:count].tolist() == [4, 2, 5]
    assert totals.tolist() == [0, 0, 0.5, 0, 1, 0.5]
    clear(totals, touched, count)
    assert not totals.any()
