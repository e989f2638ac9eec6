"""Two steps through the graph of users and items: what the users of my items also had."""

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


class TwoHop:
    """RP3beta (Christoffel et al., RecSys 2015): the random walk user, item, user, item, over the target's
    popularity to the power `beta`.

    The walk leaves the query's latest items (by `lookback`), steps to the `users` latest other users of each
    and to the `items` latest interactions of each of those, with equal odds at each step: at most
    `lookback.items * users * items` steps a query. Reads the rings of
    `traces` and has no state of its own. The query's own items may come back: they are reached most often.
    """

    name = "two_hop"

    def __init__(
        self,
        limits: Limits,
        *,
        traces: Traces,
        n: int = 100,
        users: int = 12,
        items: int = 20,
        beta: float = 0.4,
        lookback: Lookback = Lookback(items=8, session_decay=4.0, history_weight=0.3),
    ) -> None:
        if min(n, users, items) < 1 or not 0 <= beta <= 1:
            raise ValueError(
                f"n {n}, users {users}, items {items}, beta {beta}; counts must be at least 1, beta in [0, 1]"
            )
        self.n = n
        self._traces, self._users, self._items = traces, users, items
        self._penalty = np.maximum(np.arange(1 << 14), 1.0) ** -beta  # by interactions, the last for more
        self._totals = np.zeros(limits.items, np.float64)  # scratch, zeros between calls
        self._seen = np.zeros(limits.items, np.bool_)  # scratch, False between calls
        self._touched = np.zeros(lookback.items * users * items + 1, np.int32)  # scratch
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
            traces.item_count,
            self._users,
            self._items,
            self._penalty,
            self._totals,
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
def _propose(
    query_users: I32,
    session: I32,
    history: I32,
    history_ms: NDArray[np.int64],
    session_weights: F64,
    history_weights: F64,
    history_weight: float,
    item_users: I32,
    item_user_count: I64,
    user_items: I32,
    user_count: I64,
    item_count: I64,
    max_users: int,
    max_items: int,
    penalty: F64,
    totals: F64,
    seen: NDArray[np.bool_],
    touched: I32,
    ids: I32,
    scores: F32,
) -> None:
    ring_users, ring_items = item_users.shape[1], user_items.shape[1]
    start, weights = np.empty(len(session_weights), np.int32), np.empty(len(session_weights), np.float64)
    for b in range(len(query_users)):
        size, _ = weigh_query(
            session[b],
            history[b],
            history_ms[b],
            session_weights,
            history_weights,
            history_weight,
            seen,
            start,
            weights,
        )
        count = 0
        for place in range(size):
            item = start[place]
            users = min(item_user_count[item], ring_users, max_users)
            for back in range(users):
                user = item_users[item, (item_user_count[item] - 1 - back) % ring_users]
                if user == 0 or user == query_users[b]:
                    continue
                items = min(user_count[user], ring_items, max_items)
                odds = weights[place] / (users * max(items, 1))
                newest = user_count[user] - 1
                for step in range(items):
                    other = user_items[user, (newest - step) % ring_items]
                    if other != 0:
                        count = add_to(totals, touched, count, other, odds)
        for at in range(count):
            totals[touched[at]] *= penalty[min(item_count[touched[at]], len(penalty) - 1)]
        best_of(touched, count, totals, ids[b], scores[b])
        clear(totals, touched, count)
