"""What a recommender must beat: the same units ranked by recent popularity and by the shopper's own frequency."""

import numpy as np
from numpy.typing import NDArray

from index.sources.base import Query
from index.sources.popularity import Popularity

_RECENT = 2  # the window of HALF_LIVES_MS with a half-life of seven days


def recent_popularity(popularity: Popularity, *, users: int, k: int) -> NDArray[np.int32]:
    """(B, K) rows of the most popular items by counts with a half-life of seven days; the same for everyone."""
    best = popularity.best[_RECENT, :k]
    return np.tile(best, (users, 1))


def personal_frequency(query: Query, popularity: Popularity, *, k: int) -> NDArray[np.int32]:
    """(B, K) rows of the items that the user touched most often, later touches first among equals; then what
    is popular. The strongest simple baseline where people buy again (Hu et al., SIGIR 2020)."""
    filler = popularity.best[_RECENT]
    lists = np.zeros((len(query), k), np.int32)
    for row, (items, views, purchases, last_ms) in enumerate(
        zip(
            query.whole_history,
            query.history_views,
            query.history_purchases,
            query.history_last_ms,
            strict=True,
        )
    ):
        order = np.lexsort((-last_ms, -(views + purchases)))
        own = items[order]
        own = own[own > 0][:k]
        rest = filler[~(filler[:, None] == own).any(axis=1)][: k - len(own)]
        lists[row, : len(own)] = own
        lists[row, len(own) : len(own) + len(rest)] = rest
    return lists


def hits_of(lists: NDArray[np.int32], *, targets: list[NDArray[np.int32]]) -> NDArray[np.float32]:
    """(B, K) float32: 1 where the item in that place is among the unit's targets."""
    hits = np.zeros(lists.shape, np.float32)
    for row, wanted in enumerate(targets):
        hits[row] = (lists[row][:, None] == wanted).any(axis=1) & (lists[row] > 0)
    return hits
