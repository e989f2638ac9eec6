"""Basket hybrid: the user's own habit, what goes with the latest items, and what is popular now, mixed."""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from load.prequential.baselines.popularity import RECENT_HALF_LIFE_MS, Popularity
from load.prequential.baselines.ranking import best_of
from load.prequential.baselines.trails import Trails
from load.prequential.contender import Query, Repeat, StreamInfo, Unit


@dataclass(frozen=True, slots=True)
class BasketHybridConfig:
    """The mixture and its reach."""

    own: float = 1.0  # weight of the share of the user's steps with the item
    together: float = 0.5  # weight of the share of a latest item's baskets with the item, mean over these
    popular: float = 0.5  # weight of the share of everybody's recent units with the item
    prior_steps: float = 2.0  # steps of nothing added to a user's, so that a second basket is not certainty
    query_items: int = 20  # the user's (or the session's) latest distinct items
    baskets: int = 60  # the latest baskets of each that are read
    read: int = 100  # items of a basket that are read

    def __post_init__(self) -> None:
        for name in ("own", "together", "popular", "prior_steps"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"BasketHybridConfig.{name} is {getattr(self, name)}; it must be 0 or more")
        for name in ("query_items", "baskets", "read"):
            if not getattr(self, name) > 0:
                raise ValueError(f"BasketHybridConfig.{name} is {getattr(self, name)}; it must be above 0")


class BasketHybrid:
    """Contender: a linear mixture of three shares: of the user's steps, of co-bought baskets, of recent units.

    A basket is a unit under the basket protocol and a session otherwise. The parts are those that next-basket
    studies find hard to beat together (Li et al., "A Next Basket Recommendation Reality Check", TOIS 2023).
    """

    name = "basket-hybrid"

    def __init__(self, info: StreamInfo, *, config: BasketHybridConfig | None = None) -> None:
        self.config = config or BasketHybridConfig()
        self._whole = info.protocol == "basket"
        events = len(info.item)
        self._users = Trails(events=events, groups=info.n_users, items=info.n_items)
        groups = info.n_units if self._whole else info.n_sessions
        self._baskets = Trails(events=events, groups=groups, items=info.n_items)
        self._popular = Popularity(info, half_life_ms=RECENT_HALF_LIFE_MS)
        self._totals = np.zeros(info.n_items, np.float64)
        self._touched = np.zeros(info.n_items, np.int32)

    def recommend(self, query: Query, /, *, k: int) -> NDArray[np.int64]:
        """(<= k,) int64: the best of the mixture."""
        config, users, baskets, popular = self.config, self._users, self._baskets, self._popular
        last = int(users.last_of_group[query.user])
        if last < 0:
            return popular.top(k)
        items, _ = users.latest(query.user, most=config.query_items)
        n = _mix(
            last,
            config.own / (float(users.steps[query.user]) + config.prior_steps),
            config.together / len(items),
            config.popular / popular.units,
            items,
            popular.top(5 * k),
            config.baskets,
            config.read,
            users.item,
            users.before,
            baskets.item,
            baskets.group,
            baskets.before,
            baskets.earlier,
            baskets.last_of_group,
            baskets.last_of_item,
            popular.totals,
            self._totals,
            self._touched,
        )
        picked = best_of(self._totals, self._touched, n, k + 1)
        if not self._whole:
            picked = picked[picked != users.item[last]]
        return picked[:k]

    def learn(self, unit: Unit, /) -> None:
        """Adds the unit to its user, its basket and popularity."""
        self._users.append(unit.user, items=unit.items, at_ms=unit.at_ms)
        basket = unit.index if self._whole else unit.session
        self._baskets.append(basket, items=unit.items, at_ms=unit.at_ms)
        self._popular.add(unit.items, at_ms=unit.at_ms)

    def see(self, repeat: Repeat, /) -> None:
        """Counts nothing: its session has the item, and the other shares are of what is asked for."""


@njit(nogil=True, cache=True)  # type: ignore[misc, unused-ignore]
def _mix(
    last: int,
    own: float,
    together: float,
    popular: float,
    items: NDArray[np.int64],
    tops: NDArray[np.int64],
    n_baskets: int,
    read: int,
    user_item: NDArray[np.int32],
    user_before: NDArray[np.int32],
    basket_item: NDArray[np.int32],
    basket_group: NDArray[np.int32],
    basket_before: NDArray[np.int32],
    basket_earlier: NDArray[np.int32],
    last_of_basket: NDArray[np.int32],
    last_of_item: NDArray[np.int32],
    popularity: NDArray[np.float64],
    totals: NDArray[np.float64],
    touched: NDArray[np.int32],
) -> int:
    """Sums the three parts into `totals`; how many items are in `touched`."""
    n = 0
    event = last
    while event >= 0:
        j = user_item[event]
        if totals[j] == 0.0:
            touched[n] = j
            n += 1
            totals[j] = popular * popularity[j]
        totals[j] += own
        event = user_before[event]
    for j in tops:
        if totals[j] == 0.0:
            touched[n] = j
            n += 1
            totals[j] = popular * popularity[j]
    for i in items:
        seen = 0
        event = last_of_item[i]
        while event >= 0 and seen < n_baskets:
            seen += 1
            event = basket_earlier[event]
        event = last_of_item[i]
        for _ in range(seen):
            other = last_of_basket[basket_group[event]]
            for _ in range(read):
                if other < 0:
                    break
                j = basket_item[other]
                if j != i:
                    if totals[j] == 0.0:
                        touched[n] = j
                        n += 1
                        totals[j] = popular * popularity[j]
                    totals[j] += together / seen
                other = basket_before[other]
            event = basket_earlier[event]
    return n
