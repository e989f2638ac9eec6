"""Session co-visitation: what is touched in the same session or bought in the same basket."""

from dataclasses import dataclass, field

import numpy as np
from numba import njit
from numpy.typing import NDArray

from index.sources.base import LearnBatch, Limits, Query
from index.sources.covisits import CoVisits, KindWeights, Recall, credit
from index.sources.query_items import Lookback
from index.sources.traces import Traces


@dataclass(frozen=True, slots=True)
class SessionCovisitationConfig:
    """Which pairs count, how much, and how they are recalled."""

    partners: int = 20  # distinct items before an item in its session, not counting its basket, to pair with
    place_decay: float = 2.0  # places: a pair d apart weighs exp(-(d - 1) / place_decay), in a basket 1
    kinds: KindWeights = field(default_factory=KindWeights)  # a pair weighs the geometric mean of its two
    recall: Recall = field(default_factory=lambda: Recall(lookback=Lookback(items=32)))

    def __post_init__(self) -> None:
        if self.partners < 1 or not self.place_decay > 0:
            raise ValueError(f"{self}: partners must be at least 1 and place_decay above 0")


class SessionCovisitation:
    """Item-to-item co-visitation (Linden, Smith & York, "Amazon.com recommendations", 2003) within sessions.

    Undirected: an item and each of the last `partners` distinct items before it in its session, and those of
    its basket on top (looking back at most `Traces.session_window` places), count for each other. Items of
    the same instant are one basket, where distance means nothing. An item keeps its M heaviest partners.
    """

    name = "session_covisitation"

    def __init__(
        self, limits: Limits, traces: Traces, n: int = 100, config: SessionCovisitationConfig | None = None
    ) -> None:
        self.n = n
        self.config = config or SessionCovisitationConfig()
        self._traces = traces
        self._pairs = CoVisits(limits)
        self._kind_weights = np.sqrt(self.config.kinds.by_kind())
        self._place_weights = np.exp(-np.arange(traces.session_window) / self.config.place_decay)
        self._seen = np.zeros(limits.items, np.bool_)

    def learn(self, batch: LearnBatch) -> None:
        """Count the pairs whose later item is one of these E."""
        traces = self._traces
        _learn(
            batch.items,
            batch.kinds,
            batch.times_ms,
            batch.sessions,
            batch.session_at,
            self.config.partners,
            self._kind_weights,
            self._place_weights,
            traces.session_items,
            traces.session_times,
            traces.session_kinds,
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
    items: NDArray[np.int32],
    kinds: NDArray[np.int8],
    times_ms: NDArray[np.int64],
    sessions: NDArray[np.int32],
    session_at: NDArray[np.int64],
    most: int,
    kind_weights: NDArray[np.float64],
    place_weights: NDArray[np.float64],
    session_items: NDArray[np.int32],
    session_times: NDArray[np.int64],
    session_kinds: NDArray[np.int8],
    partners: NDArray[np.int32],
    counts: NDArray[np.float32],
    excess: NDArray[np.float32],
    seen: NDArray[np.bool_],
) -> None:
    length = session_items.shape[1]
    for e in range(len(items)):
        item, row = items[e], sessions[e]
        if kind_weights[kinds[e]] == 0 or row == 0:
            continue
        found, back, looked = 0, 1, min(len(place_weights), session_at[e])
        while back <= looked and found < most:
            place = (session_at[e] - back) % length
            other = session_items[row, place]
            if other != 0 and other != item and not seen[other]:
                seen[other] = True
                weight = kind_weights[kinds[e]] * kind_weights[session_kinds[row, place]]
                if session_times[row, place] != times_ms[e]:
                    found += 1
                    weight *= place_weights[back - 1]
                credit(partners, counts, excess, item, other, weight)
                credit(partners, counts, excess, other, item, weight)
            back += 1
        for again in range(1, back):
            seen[session_items[row, (session_at[e] - again) % length]] = False
