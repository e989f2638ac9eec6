"""Users with much the same items, and what else they have."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from index.snapshot import fill
from index.sources.base import LearnBatch, Limits, Query
from index.sources.query_items import Lookback, weigh_query
from index.sources.topk import add_to, best_of, clear
from index.sources.traces import Traces

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]


class UserKnn:
    """User-based kNN over item sets (Herlocker et al., SIGIR 1999) with inverse user frequency (Breese et
    al., UAI 1998), found through the items' latest users.

    Similarity of the query with user v, by the query's latest items (by `lookback`) that v is among the
    `users` latest of: sum of the item's weight / log2(2 + users of the item), over the square root of v's
    interactions (at most H): the cosine of sets, bar the query's own length. The `neighbours` most similar
    users, other than the query's, give their similarity to each distinct item among their `items` latest.
    Reads the rings of `traces` and has no state of its own.
    """

    name = "user_knn"

    def __init__(
        self,
        limits: Limits,
        *,
        traces: Traces,
        n: int = 100,
        users: int = 32,
        neighbours: int = 24,
        items: int = 64,
        lookback: Lookback = Lookback(items=16, session_decay=8.0, history_decay=16.0, history_weight=0.5),
    ) -> None:
        if min(n, users, neighbours, items) < 1:
            raise ValueError(
                f"n {n}, users {users}, neighbours {neighbours}, items {items}; each must be at least 1"
            )
        self.n = n
        self._traces, self._users, self._items = traces, users, items
        self._similar = np.zeros(limits.users, np.float64)  # scratch, zeros between calls
        self._counted_for = np.zeros(limits.users, np.int32)  # scratch, zeros between calls
        self._met = np.zeros(lookback.items * users + 1, np.int32)  # scratch
        self._nearest = np.zeros(neighbours, np.int32)  # scratch
        self._nearness = np.zeros(neighbours, np.float32)  # scratch
        self._totals = np.zeros(limits.items, np.float64)  # scratch, zeros between calls
        self._given_by = np.zeros(limits.items, np.int32)  # scratch, zeros between calls
        self._seen = np.zeros(limits.items, np.bool_)  # scratch, False between calls
        self._touched = np.zeros(neighbours * items + 1, np.int32)  # scratch
        self._session_weights, self._history_weights = lookback.session_weights(), lookback.history_weights()
        self._history_weight = lookback.history_weight

    def learn(self, batch: LearnBatch) -> None:
        """Nothing: `traces` learns."""

    def propose(self, query: Query) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """(B, n) rows and scores; see the Source protocol."""
        ids = np.zeros((len(query), self.n), np.int32)
        scores = np.zeros((len(query), self.n), np.float32)
        traces = self._traces
        _propose(
            query.users,
            query.session,
            query.history,
            query.history_last_ms,
            self._session_weights,
            self._history_weights,
            self._history_weight,
            traces.item_users,
            traces.item_user_count,
            traces.user_items,
            traces.user_count,
            self._users,
            self._items,
            self._similar,
            self._counted_for,
            self._met,
            self._nearest,
            self._nearness,
            self._totals,
            self._given_by,
            self._seen,
            self._touched,
            ids,
            scores,
        )
        return ids, scores

    def evict(self, items: NDArray[np.int32]) -> None:
        """Nothing: `traces` evicts."""

    def snapshot(self) -> dict[str, NDArray[np.generic]]:
        """No arrays: there is no state."""
        return {}

    def restore(self, arrays: dict[str, NDArray[np.generic]]) -> None:
        """Take `snapshot`'s (no) arrays; SnapshotError when there are any."""
        fill({}, arrays, owner=self.name)


@njit(nogil=True, cache=True)
def _meet(
    query_user: int,
    session: I32,
    history: I32,
    history_ms: I64,
    session_weights: F64,
    history_weights: F64,
    history_weight: float,
    item_users: I32,
    item_user_count: I64,
    user_count: I64,
    ring_items: int,
    max_users: int,
    similar: F64,
    counted_for: I32,
    met: I32,
    seen: NDArray[np.bool_],
    start: I32,
    weights: F64,
) -> int:
    """Fill `similar` for the users met through one query's items; returns how many `met` holds."""
    ring_users = item_users.shape[1]
    size, _ = weigh_query(
        session, history, history_ms, session_weights, history_weights, history_weight, seen, start, weights
    )
    count = 0
    for place in range(size):
        item = start[place]
        weight = weights[place] / np.log2(2.0 + item_user_count[item])
        for back in range(min(item_user_count[item], ring_users, max_users)):
            user = item_users[item, (item_user_count[item] - 1 - back) % ring_users]
            if user == 0 or user == query_user or counted_for[user] == place + 1:
                continue
            counted_for[user] = place + 1
            count = add_to(similar, met, count, user, weight)
    for at in range(count):
        user = met[at]
        counted_for[user] = 0
        similar[user] /= np.sqrt(max(min(user_count[user], ring_items), 1))
    return count


@njit(nogil=True, cache=True)
def _gather(
    nearest: I32,
    nearness: F32,
    user_items: I32,
    user_count: I64,
    max_items: int,
    totals: F64,
    given_by: I32,
    touched: I32,
    ids: I32,
    scores: F32,
) -> None:
    """Write one query's best items of its nearest users."""
    ring = user_items.shape[1]
    count = 0
    for near in range(len(nearest)):
        user = nearest[near]
        if user == 0:
            break
        newest = user_count[user] - 1
        for back in range(min(user_count[user], ring, max_items)):
            item = user_items[user, (newest - back) % ring]
            if item == 0 or given_by[item] == near + 1:
                continue
            given_by[item] = near + 1
            count = add_to(totals, touched, count, item, nearness[near])
    for at in range(count):
        given_by[touched[at]] = 0
    best_of(touched, count, totals, ids, scores)
    clear(totals, touched, count)


@njit(nogil=True, cache=True)
def _propose(
    query_users: I32,
    session: I32,
    history: I32,
    history_ms: I64,
    session_weights: F64,
    history_weights: F64,
    history_weight: float,
    item_users: I32,
    item_user_count: I64,
    user_items: I32,
    user_count: I64,
    max_users: int,
    max_items: int,
    similar: F64,
    counted_for: I32,
    met: I32,
    nearest: I32,
    nearness: F32,
    totals: F64,
    given_by: I32,
    seen: NDArray[np.bool_],
    touched: I32,
    ids: I32,
    scores: F32,
) -> None:
    start, weights = np.empty(len(session_weights), np.int32), np.empty(len(session_weights), np.float64)
    for b in range(len(query_users)):
        count = _meet(
            query_users[b], session[b], history[b], history_ms[b], session_weights, history_weights, history_weight,
            item_users, item_user_count, user_count, user_items.shape[1], max_users, similar, counted_for,
            met, seen, start, weights,
        )  # fmt: skip
        best_of(met, count, similar, nearest, nearness)
        clear(similar, met, count)
        _gather(nearest, nearness, user_items, user_count, max_items, totals, given_by, touched, ids[b],
                scores[b])  # fmt: skip
