"""History co-visitation: what the same people touch, however far apart."""

from dataclasses import dataclass, field

import numpy as np
from numba import njit
from numpy.typing import NDArray

from index.sources.base import LearnBatch, Limits, Query
from index.sources.covisits import CoVisits, KindWeights, Recall, credit
from index.sources.query_items import Lookback
from index.sources.traces import Traces


@dataclass(frozen=True, slots=True)
class HistoryCovisitationConfig:
    """Which pairs count, how much, and how they are recalled."""

    partners: int = 20  # distinct latest items of the user that a new item is paired with
    place_decay: float = 10.0  # the r-th latest distinct item, from 0, weighs exp(-r / place_decay)
    kinds: KindWeights = field(default_factory=KindWeights)  # a pair weighs the geometric mean of its two
    recall: Recall = field(
        default_factory=lambda: Recall(
            lookback=Lookback(items=32, session_decay=6.0, history_decay=10.0, history_weight=0.3)
        )
    )

    def __post_init__(self) -> None:
        if self.partners < 1:
            raise ValueError(f"HistoryCovisitationConfig.partners is {self.partners}; at least 1 is allowed")


class HistoryCovisitation:
    """Item-to-item co-visitation (Linden, Smith & York, "Amazon.com recommendations", 2003) over users.

    An item that is new among the user's last `Traces.user_window` interactions and each of the last
    `partners` distinct items there count for each other, whatever time lies between; a repeat counts nothing,
    so that one user's habit is one voice. An item keeps its M heaviest partners.
    """

    name = "history_covisitation"

    def __init__(
        self, limits: Limits, traces: Traces, n: int = 100, config: HistoryCovisitationConfig | None = None
    ) -> None:
        self.n = n
        self.config = config or HistoryCovisitationConfig()
        self._traces = traces
        self._pairs = CoVisits(limits)
        self._kind_weights = np.sqrt(self.config.kinds.by_kind())
        self._place_weights = np.exp(-np.arange(self.config.partners) / self.config.place_decay)
        self._seen = np.zeros(limits.items, np.bool_)

    def learn(self, batch: LearnBatch) -> None:
        """Count the pairs whose later item is one of these E."""
        traces = self._traces
        _learn(
            batch.users,
            batch.items,
            batch.kinds,
            batch.sessions,
            batch.user_at,
            traces.user_window,
            self._kind_weights,
            self._place_weights,
            traces.user_items,
            traces.user_kinds,
            self._pairs.partners,
            self._pairs.counts,
            self._pairs.excess,
            self._seen,
        )

    def propose(self, query: Query) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """(B, n) item rows and their normalised counts with the query's items, best first."""
        return self._pairs.propose(
            query, item_count=self._traces.item_count, recall=self.config.recall, n=self.n
        )

    def evict(self, items: NDArray[np.int32]) -> None:
        """Forget all pairs with these rows."""
        self._pairs.evict(items)

    def snapshot(self) -> dict[str, NDArray[np.generic]]:
        """The pairs, as copies."""
        return self._pairs.snapshot()

    def restore(self, arrays: dict[str, NDArray[np.generic]]) -> None:
        """Take `snapshot`'s arrays; SnapshotError when they do not fit."""
        self._pairs.restore(arrays, owner=self.name)


@njit(nogil=True, cache=True)
def _learn(
    users: NDArray[np.int32],
    items: NDArray[np.int32],
    kinds: NDArray[np.int8],
    sessions: NDArray[np.int32],
    user_at: NDArray[np.int64],
    window: int,
    kind_weights: NDArray[np.float64],
    place_weights: NDArray[np.float64],
    user_items: NDArray[np.int32],
    user_kinds: NDArray[np.int8],
    partners: NDArray[np.int32],
    counts: NDArray[np.float32],
    excess: NDArray[np.float32],
    seen: NDArray[np.bool_],
) -> None:
    length = user_items.shape[1]
    for e in range(len(items)):
        user, item = users[e], items[e]
        if kind_weights[kinds[e]] == 0 or sessions[e] == 0:
            continue
        looked = min(window, user_at[e])
        repeat = False
        for back in range(1, looked + 1):
            if user_items[user, (user_at[e] - back) % length] == item:
                repeat = True
                break
        if repeat:
            continue
        found, back = 0, 1
        while back <= looked and found < len(place_weights):
            place = (user_at[e] - back) % length
            other = user_items[user, place]
            if other != 0 and not seen[other]:
                seen[other] = True
                weight = kind_weights[kinds[e]] * kind_weights[user_kinds[user, place]] * place_weights[found]
                found += 1
                credit(partners, counts, excess, item, other, weight)
                credit(partners, counts, excess, other, item, weight)
            back += 1
        for again in range(1, back):
            seen[user_items[user, (user_at[e] - again) % length]] = False
