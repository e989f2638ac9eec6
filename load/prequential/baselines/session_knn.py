"""Session neighbours: VS-KNN, STAN and VSTAN, three weightings of one method, learning every unit at once."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from load.prequential.baselines.popularity import DAY_MS, RECENT_HALF_LIFE_MS, Popularity
from load.prequential.baselines.ranking import best_of, filled
from load.prequential.baselines.session_votes import find_sessions, vote_for_items
from load.prequential.baselines.trails import Trails
from load.prequential.contender import Query, Repeat, StreamInfo, Unit

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SessionKnnConfig:
    """One weighting of session kNN.

    `item_weight(ago, length)`: weight of a query item taken `ago` (n,) steps before the session's last, of
    `length` steps, in the likeness. `shared_weight(ago)`: weight of a neighbour's votes when the latest
    shared item was taken `ago` (n,) steps before the session's last. `cosine`: divide the likeness by the root
    of the neighbour's distinct items. `place_decay`, in steps: an item d steps from the shared one gets
    exp(-d / place_decay) of the vote. `age_decay_days`: a session of age a weighs exp(-a / age_decay_days).
    `idf`: an item's vote is times 1 + idf * log(sessions / its events).
    """

    neighbours: int
    sample: int
    item_weight: Callable[[Array, int], Array]
    shared_weight: Callable[[Array], Array]
    cosine: bool
    place_decay: float = math.inf
    age_decay_days: float = math.inf
    idf: float = 0.0
    query_items: int = 40  # the session's latest distinct items that are looked up
    read: int = 200  # the latest events of a neighbour that vote

    def __post_init__(self) -> None:
        for name in ("neighbours", "sample", "place_decay", "age_decay_days", "query_items", "read"):
            if not getattr(self, name) > 0:
                raise ValueError(f"SessionKnnConfig.{name} is {getattr(self, name)}; it must be above 0")
        if self.idf < 0:
            raise ValueError(f"SessionKnnConfig.idf is {self.idf}; it must be 0 or more")


class SessionKnn:
    """Contender: the items of the past sessions most like this one, then recent popularity.

    The candidate sessions are those that share an item with the current one, of each item the latest `sample`.
    (For baskets a session is a user's whole past and a step a basket.) Never proposes, where units are single
    events, the item just taken, since its repeat is no unit. Exact, but for the caps on query items, sample
    and events read of a neighbour, which keep a query on streams of huge sessions under a few milliseconds.
    """

    def __init__(self, info: StreamInfo, *, name: str, config: SessionKnnConfig) -> None:
        self.name = name
        self.config = config
        self._repeats = info.protocol == "basket"
        self._trails = Trails(events=len(info.item), groups=info.n_sessions, items=info.n_items)
        self._popular = Popularity(info, half_life_ms=RECENT_HALF_LIFE_MS)
        self._likeness = np.zeros(info.n_sessions, np.float64)
        self._counted = np.full(info.n_sessions, -1, np.int64)
        self._shared_rank = np.zeros(info.n_sessions, np.int32)
        self._found = np.zeros(info.n_sessions, np.int32)
        self._totals = np.zeros(info.n_items, np.float64)
        self._touched = np.zeros(info.n_items, np.int32)
        self._mark = np.zeros(info.n_items, np.int64)
        self._listed = np.zeros(info.n_items, np.int64)
        self._counter = np.zeros(2, np.int64)
        self._sessions = 0

    def recommend(self, query: Query, /, *, k: int) -> NDArray[np.int64]:
        """(<= k,) int64: the neighbours' votes, best first, filled with what is popular now."""
        items, steps = self._trails.latest(query.session, most=self.config.query_items)
        if not len(items):
            return self._popular.top(k)
        without = -1 if self._repeats else int(items[0])
        picked = self._votes(query, items, steps, k=k + 1)
        return filled(picked, fill=self._popular.top(2 * k), k=k, without=without)

    def learn(self, unit: Unit, /) -> None:
        """Adds the unit to its session, which is a neighbour for others from now on."""
        self._sessions += int(self._trails.steps[unit.session] == 0)
        self._trails.append(unit.session, items=unit.items, at_ms=unit.at_ms)
        self._popular.add(unit.items, at_ms=unit.at_ms)

    def see(self, repeat: Repeat, /) -> None:
        """The session stands where it stood, a step is what is asked for; but it has lasted until now."""
        self._trails.last_ms[repeat.session] = repeat.at_ms

    def _votes(
        self, query: Query, items: NDArray[np.int64], steps: NDArray[np.int64], *, k: int
    ) -> NDArray[np.int64]:
        config, trails = self.config, self._trails
        length = int(trails.steps[query.session])
        ago = (length - 1 - steps).astype(np.float64)
        found = find_sessions(
            query.session,
            items,
            config.item_weight(ago, length),
            config.sample,
            trails.group,
            trails.earlier,
            trails.last_of_item,
            self._likeness,
            self._counted,
            self._shared_rank,
            self._found,
            self._counter,
        )
        n = vote_for_items(
            found,
            config.neighbours,
            query.at_ms,
            config.age_decay_days * DAY_MS,
            config.cosine,
            config.place_decay,
            config.idf,
            math.log(max(self._sessions, 1)),
            config.read,
            items,
            config.shared_weight(ago),
            trails.item,
            trails.step,
            trails.before,
            trails.last_of_group,
            trails.distinct,
            trails.times,
            trails.last_ms,
            self._likeness,
            self._shared_rank,
            self._found,
            self._totals,
            self._touched,
            self._mark,
            self._listed,
            self._counter,
        )
        return best_of(self._totals, self._touched, n, k)


def _vs_item_weight(ago: Array, length: int) -> Array:
    return (length - ago) / length


def _decays(scale: float) -> Callable[[Array, int], Array]:
    return lambda ago, _: np.exp(-ago / scale)


def _ones(ago: Array) -> Array:
    return np.ones_like(ago)


# Ludewig & Jannach, "Evaluation of Session-based Recommendation Algorithms", UMUAI 2018: linear weights by
# place in the session, votes by 1 / steps to the latest shared item.
VS_KNN = SessionKnnConfig(
    neighbours=100,
    sample=400,
    item_weight=_vs_item_weight,
    shared_weight=lambda ago: 1.0 / (ago + 1.0),
    cosine=False,
)
# Garg et al., "Sequence and Time Aware Neighborhood for Session-based Recommendations", SIGIR 2019.
STAN = SessionKnnConfig(
    neighbours=200,
    sample=400,
    item_weight=_decays(1.02),
    shared_weight=_ones,
    cosine=True,
    place_decay=2.05,
    age_decay_days=100.0,
)
# Ludewig et al., "Empirical Analysis of Session-based Recommendation Algorithms", UMUAI 2021: STAN with VS-KNN's
# weight of the latest shared item. Its optional idf weight is off, as in their best settings for RetailRocket.
VSTAN = SessionKnnConfig(
    neighbours=200,
    sample=400,
    item_weight=_decays(1.81),
    shared_weight=lambda ago: np.exp(-ago / 0.905),
    cosine=True,
    place_decay=0.905,
    age_decay_days=40.0,
)
