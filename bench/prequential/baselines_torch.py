"""The baselines that learn in torch or river, as contenders; `LEARNED` by name."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from load.prequential.baselines.popularity import RECENT_HALF_LIFE_MS, Popularity
from load.prequential.baselines.ranking import filled
from load.prequential.baselines.trails import Trails
from load.prequential.contender import Contender, Factory, Query, Repeat, StreamInfo, Unit
from models.baselines.river_factorisation import RiverFactorisation, RiverFactorisationConfig
from models.baselines.sasrec import SasRecConfig, SasRecTrainer


@dataclass(frozen=True, slots=True)
class RollingConfig:
    """When the network is trained, and on what."""

    refits: int = 100  # over the whole stream, evenly: one every 1 %
    window: float = 0.3  # of the stream's units: how far back a refit reads
    steps: int = 10  # optimiser steps a refit, on sequences drawn from the window

    def __post_init__(self) -> None:
        if not (self.refits > 0 and self.steps > 0):
            raise ValueError(f"RollingConfig: refits {self.refits} and steps {self.steps} must be above 0")
        if not 0 < self.window <= 1:
            raise ValueError(f"RollingConfig.window is {self.window}; it must be in (0, 1]")


class RollingSasRec:
    """Contender: SASRec over the user's latest items, trained on a rolling window, filled with what is popular.

    Each refit goes on from the last weights; there are more and shorter ones than the usual one every 5 %, so
    that new items wait less. Three times the steps, or the step size, fit the window better and found less on parts of
    RetailRocket's buyers. The items of a basket are shuffled within it, since the file's order is the
    catalogue's. Items not yet known at the last refit wait for the next.
    """

    name = "sasrec"

    def __init__(
        self,
        info: StreamInfo,
        *,
        seed: int,
        network: SasRecConfig | None = None,
        rolling: RollingConfig | None = None,
    ) -> None:
        self._network = network or SasRecConfig()
        self._rolling = rolling or RollingConfig()
        self._trainer = SasRecTrainer(n_items=info.n_items, config=self._network, seed=seed)
        self._users = Trails(events=len(info.item), groups=info.n_users, items=info.n_items)
        self._popular = Popularity(info, half_life_ms=RECENT_HALF_LIFE_MS)
        self._rng = np.random.default_rng(seed)
        self._repeats = info.protocol == "basket"
        self._every = max(1, -(-info.n_units // self._rolling.refits))
        self._reach = max(1, round(info.n_units * self._rolling.window))
        self._ends = np.zeros(info.n_units, np.int64)  # (units,) how many events there were after each
        self._known = np.empty(0, np.int64)
        self.losses: list[float] = []

    def recommend(self, query: Query, /, *, k: int) -> NDArray[np.int64]:
        """(<= k,) int64: the network's best, filled with what is popular now."""
        history = self._history(query.user)
        popular = self._popular.top(2 * k)
        if not len(history) or not len(self._known):
            return popular[:k]
        picked = self._trainer.model.best(history + 1, k=k + 1, known=self._known + 1) - 1
        without = -1 if self._repeats else int(history[-1])
        return filled(picked, fill=popular, k=k, without=without)

    def learn(self, unit: Unit, /) -> None:
        """Adds the unit to its user's sequence; trains when the schedule says so."""
        items = self._rng.permutation(unit.items)
        self._users.append(unit.user, items=items, at_ms=unit.at_ms)
        self._popular.add(unit.items, at_ms=unit.at_ms)
        self._ends[unit.index] = self._users.events
        if (unit.index + 1) % self._every == 0:
            self._train(int(self._ends[max(0, unit.index - self._reach)]))

    def see(self, repeat: Repeat, /) -> None:
        """The sequence stays as it is: what comes next is never a repeat."""

    def _history(self, user: int) -> NDArray[np.int64]:
        items: list[int] = []
        event = int(self._users.last_of_group[user])
        while event >= 0 and len(items) < self._network.length:
            items.append(int(self._users.item[event]))
            event = int(self._users.before[event])
        return np.array(items[::-1], np.int64)

    def _train(self, start: int) -> None:
        events = np.arange(start, self._users.events)
        order = events[np.argsort(self._users.group[events], kind="stable")]
        users = self._users.group[order]
        items = self._users.item[order].astype(np.int64) + 1
        cuts = np.flatnonzero(np.diff(users)) + 1
        longest = self._network.length + 1
        sequences = [
            whole[max(0, end - longest) : end]
            for whole in np.split(items, cuts)
            for end in range(len(whole), 1, -self._network.length)
        ]
        sequences = [sequence for sequence in sequences if len(sequence) > 1]
        if not sequences:
            return
        drawn: list[NDArray[np.int64]] = []
        while len(drawn) < self._rolling.steps * self._network.batch:
            drawn += [sequences[at] for at in self._rng.permutation(len(sequences))]
        loss = self._trainer.one_pass(drawn[: self._rolling.steps * self._network.batch])
        self.losses.append(loss)
        self._known = np.flatnonzero(self._users.times > 0)


class RiverRanking:
    """Contender: river's BiasedMF over the user's latest 100 items and the 100 most popular of late."""

    name = "river-mf"

    def __init__(
        self, info: StreamInfo, *, seed: int, config: RiverFactorisationConfig | None = None
    ) -> None:
        self._model = RiverFactorisation(config=config or RiverFactorisationConfig(), seed=seed)
        self._users = Trails(events=len(info.item), groups=info.n_users, items=info.n_items)
        self._popular = Popularity(info, half_life_ms=RECENT_HALF_LIFE_MS)
        self._repeats = info.protocol == "basket"

    def recommend(self, query: Query, /, *, k: int) -> NDArray[np.int64]:
        """(<= k,) int64: the candidates the model likes best."""
        own, _ = self._users.latest(query.user, most=100)
        popular = self._popular.top(100)
        candidates = filled(
            own, fill=popular, k=200, without=int(own[0]) if len(own) and not self._repeats else -1
        )
        if not len(candidates):
            return candidates
        return self._model.rank(query.user, candidates=candidates)[:k]

    def learn(self, unit: Unit, /) -> None:
        """Teaches the model the unit's items."""
        self._users.append(unit.user, items=unit.items, at_ms=unit.at_ms)
        self._popular.add(unit.items, at_ms=unit.at_ms)
        self._model.learn(unit.user, items=unit.items)

    def see(self, repeat: Repeat, /) -> None:
        """Teaches the model the item once more; its user's latest stays the latest."""
        self._model.learn(repeat.user, items=repeat.items)


def _sasrec(info: StreamInfo, seed: int) -> Contender:
    return RollingSasRec(info, seed=seed)


def _river(info: StreamInfo, seed: int) -> Contender:
    return RiverRanking(info, seed=seed)


LEARNED: dict[str, Factory] = {"sasrec": _sasrec, "river-mf": _river}
