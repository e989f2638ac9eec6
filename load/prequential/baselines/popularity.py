"""Popularity: what everybody takes, of all time or of late."""

import math

import numpy as np
from numpy.typing import NDArray

from load.prequential.baselines.ranking import filled
from load.prequential.contender import Query, Repeat, StreamInfo, Unit

DAY_MS = 86_400_000.0
RECENT_HALF_LIFE_MS = 3 * DAY_MS  # what "recent" means to every baseline here
HELD = 100  # the longest list that is kept in order
TALLEST = 1e200  # totals are scaled down before they grow beyond this


class Popularity:
    """The most popular items, kept in order without ever sorting the catalogue.

    A unit adds 1 to each of its items; with a half-life, what was added t ago counts 2^(-t / half_life_ms). That
    decay is applied by letting the increments grow instead of the totals shrink, so that a total only ever
    rises and only the items of the unit at hand can enter the list of the best `HELD`. Exact, O(HELD) an item.
    """

    def __init__(self, info: StreamInfo, *, half_life_ms: float = math.inf) -> None:
        if not half_life_ms > 0:
            raise ValueError(f"half_life_ms is {half_life_ms}; it must be above 0")
        self.totals = np.zeros(info.n_items, np.float64)  # (N,) in units of the latest increment's scale
        self.units = (
            0.0  # the weight of all units in the same scale: totals / units is an item's share of them
        )
        self._half_life_ms = half_life_ms
        self._start_ms: int | None = None
        self._best: list[int] = []
        self._listed: set[int] = set()

    def add(self, items: NDArray[np.int64], *, at_ms: int) -> None:
        """Counts one unit of `items`: (n,) int64 codes."""
        weight = self._weight(at_ms)
        self.units += weight
        for item in items.tolist():
            self.totals[item] += weight
            self._lift(item)

    def top(self, k: int) -> NDArray[np.int64]:
        """The up to min(k, HELD) items counted most: int64 codes, best first."""
        return np.array(self._best[:k], np.int64)

    def _weight(self, at_ms: int) -> float:
        if self._start_ms is None:
            self._start_ms = at_ms
        if math.isinf(self._half_life_ms):
            return 1.0
        weight: float = 2.0 ** min((at_ms - self._start_ms) / self._half_life_ms, 1000.0)
        if weight > TALLEST:
            self.totals /= weight
            self.units /= weight
            self._start_ms = at_ms
            return 1.0
        return weight

    def _lift(self, item: int) -> None:
        best, totals = self._best, self.totals
        if item not in self._listed:
            if len(best) >= HELD:
                if totals[best[-1]] >= totals[item]:
                    return
                self._listed.discard(best.pop())
            best.append(item)
            self._listed.add(item)
        place = best.index(item)
        while place and totals[best[place - 1]] < totals[item]:
            best[place] = best[place - 1]
            place -= 1
        best[place] = item


class MostPopular:
    """Contender: the most popular items, the same for everybody.

    `half_life_ms`: of a unit's weight; infinite is all-time popularity. In a session the item just taken
    is left out: consecutive repeats are not units.
    """

    def __init__(self, info: StreamInfo, *, name: str, half_life_ms: float = math.inf) -> None:
        self.name = name
        self._popular = Popularity(info, half_life_ms=half_life_ms)
        self._last = np.full(info.n_sessions, -1, np.int64) if info.protocol != "basket" else None

    def recommend(self, query: Query, /, *, k: int) -> NDArray[np.int64]:
        """(<= k,) int64: the most popular."""
        without = -1 if self._last is None else int(self._last[query.session])
        return filled(self._popular.top(k + 1), fill=np.empty(0, np.int64), k=k, without=without)

    def learn(self, unit: Unit, /) -> None:
        """Counts the unit's items."""
        self._popular.add(unit.items, at_ms=unit.at_ms)
        if self._last is not None:
            self._last[unit.session] = unit.items[-1]

    def see(self, repeat: Repeat, /) -> None:
        """Counts nothing: what is asked for is counted (with repeats warm recall was .0131 for .0137 on
        RetailRocket's buyers)."""
