"""What a recommender must beat, computed by hand."""

import numpy as np
from numpy.typing import NDArray

from index.sources.base import Query
from index.sources.popularity import Popularity
from serving.baselines import hits_of, personal_frequency, recent_popularity
from tests.serving.learners import LIMITS

I32 = NDArray[np.int32]


def popular(*rows: int) -> Popularity:
    """Popularity whose best items of every window are these rows."""
    popularity = Popularity(LIMITS, n=6)
    popularity.best[:, : len(rows)] = rows
    return popularity


def query(items: list[int], *, views: list[int], purchases: list[int], last_ms: list[int]) -> Query:
    """One user with this history."""
    n = len(items)
    none = np.zeros((1, 1), np.int64)
    return Query(
        users=np.ones(1, np.int32),
        now_ms=np.array([10**6], np.int64),
        session=none.astype(np.int32),
        session_times_ms=none,
        session_kinds=none.astype(np.int8),
        history=np.array([items], np.int32),
        left_aside=np.zeros((1, n), np.int32),
        history_last_ms=np.array([last_ms], np.int64),
        history_first_ms=np.zeros((1, n), np.int64),
        history_views=np.array([views], np.float32),
        history_purchases=np.array([purchases], np.float32),
        history_decayed=np.zeros((1, n), np.float32),
    )


def test_popular_items_are_the_same_for_all() -> None:
    lists = recent_popularity(popular(4, 2, 9), users=2, k=2)
    assert lists.tolist() == [[4, 2], [4, 2]]


def test_own_items_come_by_frequency_then_by_recency_then_the_popular_ones() -> None:
    asked = query([7, 5, 3], views=[1, 0, 2], purchases=[0, 3, 0], last_ms=[900, 500, 700])
    assert personal_frequency(asked, popular(4, 5, 9), k=5).tolist() == [[5, 3, 7, 4, 9]]
    tied = query([7, 5], views=[1, 1], purchases=[0, 0], last_ms=[500, 900])
    assert personal_frequency(tied, popular(), k=3).tolist() == [[5, 7, 0]]


def test_padding_of_the_history_is_nobodys_favourite() -> None:
    asked = query([7, 0, 0], views=[1, 0, 0], purchases=[0, 0, 0], last_ms=[900, 0, 0])
    assert personal_frequency(asked, popular(4, 0, 0), k=4).tolist() == [[7, 4, 0, 0]]


def test_hits_are_where_the_targets_are_and_padding_never_hits() -> None:
    lists = np.array([[3, 0, 5], [1, 2, 3]], np.int32)
    targets: list[I32] = [np.array([5, 0], np.int32), np.array([-1], np.int32)]
    assert hits_of(lists, targets=targets).tolist() == [[0, 0, 1], [0, 0, 0]]
