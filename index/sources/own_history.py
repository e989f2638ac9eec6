"""What the shopper had before, by decayed frequency: the strongest signal where people buy again."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from index.snapshot import fill
from index.sources.base import LearnBatch, Limits, Query
from index.sources.topk import add_to, best_of, clear

F32 = NDArray[np.float32]
I32 = NDArray[np.int32]
I64 = NDArray[np.int64]

DAY_MS = 86_400_000


class OwnHistory:
    """The query's own items by frequency x recency: repeat consumption (Anderson et al., WWW 2014), the
    personal part of TIFU-kNN (Hu et al., SIGIR 2020).

    score = decayed frequency at the query's time + steady * (purchases + view_weight * views): the small
    undecayed term keeps long habits in order once they have faded. No state: all is in the query.
    """

    name = "own_history"

    def __init__(
        self,
        limits: Limits,
        *,
        n: int = 100,
        half_life_ms: int = 60 * DAY_MS,
        steady: float = 0.1,
        view_weight: float = 0.1,
    ) -> None:
        if n < 1 or half_life_ms < 1 or steady < 0 or view_weight < 0:
            raise ValueError(
                f"n {n}, half_life_ms {half_life_ms}, steady {steady}, view_weight {view_weight}; "
                "expected n and half_life_ms >= 1, the weights >= 0"
            )
        self.n = n
        self._half_life_ms, self._steady, self._view_weight = half_life_ms, steady, view_weight
        self._totals = np.zeros(limits.items, np.float64)  # scratch, zeros between calls

    def learn(self, batch: LearnBatch) -> None:
        """Nothing: the shopper's state learns."""

    def propose(self, query: Query) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """(B, n) rows and scores; see the Source protocol."""
        ids = np.zeros((len(query), self.n), np.int32)
        scores = np.zeros((len(query), self.n), np.float32)
        _propose(query.now_ms, query.history, query.history_last_ms, query.history_views,
                 query.history_purchases, query.history_decayed, self._half_life_ms, self._steady,
                 self._view_weight, self._totals, ids, scores)  # fmt: skip
        return ids, scores

    def evict(self, items: NDArray[np.int32]) -> None:
        """Nothing: there is no state."""

    def snapshot(self) -> dict[str, NDArray[np.generic]]:
        """No arrays: there is no state."""
        return {}

    def restore(self, arrays: dict[str, NDArray[np.generic]]) -> None:
        """Take `snapshot`'s (no) arrays; SnapshotError when there are any."""
        fill({}, arrays, owner=self.name)


@njit(nogil=True, cache=True)
def _propose(
    nows_ms: I64,
    history: I32,
    last_ms: I64,
    views: F32,
    purchases: F32,
    decayed: F32,
    half_life_ms: int,
    steady: float,
    view_weight: float,
    totals: NDArray[np.float64],
    ids: I32,
    scores: F32,
) -> None:
    touched = np.empty(history.shape[1], np.int32)
    for b in range(len(nows_ms)):
        count = 0
        for t in range(history.shape[1]):
            age = max(nows_ms[b] - last_ms[b, t], 0) / half_life_ms
            habit = max(purchases[b, t], 0.0) + view_weight * max(views[b, t], 0.0)
            score = max(decayed[b, t], 0.0) * np.exp2(-age) + steady * habit
            if history[b, t] != 0 and score > 0.0:
                count = add_to(totals, touched, count, history[b, t], score)
        best_of(touched, count, totals, ids[b], scores[b])
        clear(totals, touched, count)
