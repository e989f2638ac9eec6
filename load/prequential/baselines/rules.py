"""Sequential rules: what follows the last item, the nearer the likelier."""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from load.prequential.baselines.popularity import RECENT_HALF_LIFE_MS, Popularity
from load.prequential.baselines.ranking import best_of, filled
from load.prequential.baselines.trails import Trails
from load.prequential.contender import Query, Repeat, StreamInfo, Unit


@dataclass(frozen=True, slots=True)
class SequentialRulesConfig:
    """How far a rule reaches, and how much history is read for it."""

    steps: int = 10  # an item d steps behind, d <= steps, adds 1/d to its rule
    occurrences: int = 300  # the latest occurrences of an item that its rules are counted from
    query_items: int = 20  # of the last step, the items whose rules are summed (1 where units are events)

    def __post_init__(self) -> None:
        for name in ("steps", "occurrences", "query_items"):
            if not getattr(self, name) > 0:
                raise ValueError(f"SequentialRulesConfig.{name} is {getattr(self, name)}; it must be above 0")


class SequentialRules:
    """Contender: SR of Ludewig & Jannach, "Evaluation of Session-based Recommendation Algorithms" (UMUAI 2018).

    The rule i -> j has the sum, over every time that j came d <= `steps` steps after i in a session, of 1/d.
    The items with the strongest rules from the session's last item are recommended, then recent popularity.
    Rules are counted when they are asked for, from the sessions themselves, so that they are exact and of this
    moment; only items with more than `occurrences` events forget their oldest. For baskets a session is a
    user's whole past, a step a basket, and the rules of the last basket's items are summed.
    """

    name = "sequential-rules"

    def __init__(self, info: StreamInfo, *, config: SequentialRulesConfig | None = None) -> None:
        self.config = config or SequentialRulesConfig()
        self._repeats = info.protocol == "basket"
        self._trails = Trails(events=len(info.item), groups=info.n_sessions, items=info.n_items)
        self._popular = Popularity(info, half_life_ms=RECENT_HALF_LIFE_MS)
        self._totals = np.zeros(info.n_items, np.float64)
        self._touched = np.zeros(info.n_items, np.int32)

    def recommend(self, query: Query, /, *, k: int) -> NDArray[np.int64]:
        """(<= k,) int64: the heads of the strongest rules, best first, filled with what is popular now."""
        items, steps = self._trails.latest(query.session, most=self.config.query_items)
        if not len(items):
            return self._popular.top(k)
        trails = self._trails
        n = _follow(
            items[steps == steps[0]],
            self.config.steps,
            self.config.occurrences,
            trails.item,
            trails.step,
            trails.after,
            trails.earlier,
            trails.last_of_item,
            self._totals,
            self._touched,
        )
        without = -1 if self._repeats else int(items[0])
        picked = best_of(self._totals, self._touched, n, k + 1)
        return filled(picked, fill=self._popular.top(2 * k), k=k, without=without)

    def learn(self, unit: Unit, /) -> None:
        """Adds the unit to its session's end."""
        self._trails.append(unit.session, items=unit.items, at_ms=unit.at_ms)
        self._popular.add(unit.items, at_ms=unit.at_ms)

    def see(self, repeat: Repeat, /) -> None:
        """The session stands where it stood: a rule leads to what is asked for, never to a repeat."""


@njit(nogil=True, cache=True)  # type: ignore[misc, unused-ignore]
def _follow(
    items: NDArray[np.int64],
    steps: int,
    occurrences: int,
    item: NDArray[np.int32],
    step: NDArray[np.int32],
    after: NDArray[np.int32],
    earlier: NDArray[np.int32],
    last_of_item: NDArray[np.int32],
    totals: NDArray[np.float64],
    touched: NDArray[np.int32],
) -> int:
    """Sums the rules of `items` into `totals`; how many items are in `touched`."""
    n = 0
    for i in items:
        event = last_of_item[i]
        for _ in range(occurrences):
            if event < 0:
                break
            behind = after[event]
            while behind >= 0 and step[behind] - step[event] <= steps:
                distance = step[behind] - step[event]
                if distance > 0:
                    j = item[behind]
                    if totals[j] == 0.0:
                        touched[n] = j
                        n += 1
                    totals[j] += 1.0 / distance
                behind = after[behind]
            event = earlier[event]
    return n
