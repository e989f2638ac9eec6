"""Sequential rules: what is touched soon after an item, within a session."""

from dataclasses import dataclass, field

import numpy as np
from numba import njit
from numpy.typing import NDArray

from index.sources.base import LearnBatch, Limits, Query
from index.sources.covisits import CoVisits, KindWeights, Recall, credit
from index.sources.query_items import Lookback
from index.sources.traces import Traces


@dataclass(frozen=True, slots=True)
class SequentialRulesConfig:
    """What a rule is learnt from and how rules are recalled."""

    distance: int = 10  # places: how far apart the two items of a rule may be
    kinds: KindWeights = field(default_factory=KindWeights)  # by what was done to the later item
    recall: Recall = field(default_factory=lambda: Recall(lookback=Lookback(items=8)))

    def __post_init__(self) -> None:
        if self.distance < 1:
            raise ValueError(f"SequentialRulesConfig.distance is {self.distance}; it must be at least 1")


class SequentialRules:
    """Sequential Rules ("Evaluation of session-based recommendation algorithms", Ludewig & Jannach, 2018).

    A rule a → b gains 1 / distance, times the weight of b's kind, whenever b follows a within `distance`
    places of a session (at most `Traces.session_window`). Items of the same instant are one basket: they have
    no order and make no rule. An item keeps its M heaviest rules.
    """

    name = "sequential_rules"

    def __init__(
        self, limits: Limits, traces: Traces, n: int = 100, config: SequentialRulesConfig | None = None
    ) -> None:
        self.n = n
        self.config = config or SequentialRulesConfig()
        self._traces = traces
        self._rules = CoVisits(limits)
        self._kind_weights = self.config.kinds.by_kind()

    def learn(self, batch: LearnBatch) -> None:
        """Learn the rules that end in these E interactions."""
        _learn(
            batch.items,
            batch.kinds,
            batch.times_ms,
            batch.sessions,
            batch.session_at,
            min(self.config.distance, self._traces.session_window),
            self._kind_weights,
            self._traces.session_items,
            self._traces.session_times,
            self._rules.partners,
            self._rules.counts,
            self._rules.excess,
        )

    def propose(self, query: Query) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """(B, n) item rows and their weighted rules' sums, best first."""
        return self._rules.propose(
            query, item_count=self._traces.item_count, recall=self.config.recall, n=self.n
        )

    def evict(self, items: NDArray[np.int32]) -> None:
        """Forget all rules from and to these rows."""
        self._rules.evict(items)

    def snapshot(self) -> dict[str, NDArray[np.generic]]:
        """The rules, as copies."""
        return self._rules.snapshot()

    def restore(self, arrays: dict[str, NDArray[np.generic]]) -> None:
        """Take `snapshot`'s arrays; SnapshotError when they do not fit."""
        self._rules.restore(arrays, owner=self.name)


@njit(nogil=True, cache=True)
def _learn(
    items: NDArray[np.int32],
    kinds: NDArray[np.int8],
    times_ms: NDArray[np.int64],
    sessions: NDArray[np.int32],
    session_at: NDArray[np.int64],
    distance: int,
    kind_weights: NDArray[np.float64],
    session_items: NDArray[np.int32],
    session_times: NDArray[np.int64],
    partners: NDArray[np.int32],
    counts: NDArray[np.float32],
    excess: NDArray[np.float32],
) -> None:
    length = session_items.shape[1]
    for e in range(len(items)):
        weight, row = kind_weights[kinds[e]], sessions[e]
        if weight == 0 or row == 0:
            continue
        for back in range(1, min(distance, session_at[e]) + 1):
            place = (session_at[e] - back) % length
            before = session_items[row, place]
            if before != 0 and before != items[e] and session_times[row, place] != times_ms[e]:
                credit(partners, counts, excess, before, items[e], weight / back)
