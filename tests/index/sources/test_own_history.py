"""The shopper's own items, scored as in plain Python."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from index.errors import SnapshotError
from index.sources.own_history import DAY_MS, OwnHistory
from tests.index.sources.own_queries import SEEDS, random_query
from tests.index.sources.random_logs import ROOMY, assert_proposes


@settings(max_examples=80, deadline=None)
@given(seed=SEEDS)
def test_scores_agree_with_plain_python(seed: int) -> None:
    query = random_query(seed, users=3, items=ROOMY.items)
    ids, scores = OwnHistory(ROOMY, n=4).propose(query)
    for b in range(3):
        expected = {}
        for t, item in enumerate(query.history[b].tolist()):
            age = max(int(query.now_ms[b] - query.history_last_ms[b, t]), 0) / (60 * DAY_MS)
            habit = max(float(query.history_purchases[b, t]), 0.0) + 0.1 * float(query.history_views[b, t])
            score = float(query.history_decayed[b, t]) * 2.0**-age + 0.1 * habit
            if item and score > 0:
                expected[item] = score
        assert_proposes(ids[b], scores[b], expected=expected)


def test_of_equal_habits_the_fresher_comes_first_and_of_equally_fresh_the_more_frequent() -> None:
    query = random_query(1, users=1, items=ROOMY.items, history=3)
    day = np.array([[2, 50, 2]]) * DAY_MS
    query = replace(
        query,
        history=np.array([[1, 2, 3]], np.int32),
        history_last_ms=query.now_ms[:, None] - day,
        history_views=np.zeros((1, 3), np.float32),
        history_purchases=np.array([[2, 2, 5]], np.float32),
        history_decayed=np.array([[2, 2, 5]], np.float32),
    )
    ids, _ = OwnHistory(ROOMY, n=5).propose(query)
    assert ids.tolist() == [[3, 1, 2, 0, 0]]


def test_wrong_arguments_and_snapshots_are_refused() -> None:
    with pytest.raises(ValueError, match="half_life_ms 0"):
        OwnHistory(ROOMY, half_life_ms=0)
    with pytest.raises(SnapshotError):
        OwnHistory(ROOMY).restore({"keys": np.zeros(1)})
