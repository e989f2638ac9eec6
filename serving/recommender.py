"""recommend(): sources, then ranker, then slate, for a batch of users at once.

The learner ranks through the same object, so what is trained is what is served.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from index.sources.base import Query
from index.sources.source_set import SourceSet
from index.sources.union import Candidates
from models.bandit import DiversityBandit
from models.batch import ItemTable, RankBatch
from models.ranker import Ranker, WideView
from models.slate import SlateConfig, Slates, make_slates
from serving.overload import Plan
from serving.state import StateView

StageTimer = Callable[[str, float], None]  # stage, milliseconds of the whole batch


@dataclass(frozen=True, slots=True)
class RecommendConfig:
    """How slates are made, and how much of a user's past counts."""

    slate: SlateConfig = field(default_factory=SlateConfig)
    deep_history: int = 16  # T of the ranker's batches

    def __post_init__(self) -> None:
        if self.deep_history < 1:
            raise ValueError(f"deep_history is {self.deep_history}; expected >= 1")


@dataclass(frozen=True, slots=True)
class Ranked:
    """B users' candidates with their scores."""

    query: Query
    candidates: Candidates
    batch: RankBatch


@dataclass(frozen=True, slots=True)
class Recommendations:
    """B slates of K slots, as arrays; 0 pads."""

    items: NDArray[np.int32]  # (B, K) item rows
    scores: NDArray[np.float32]  # (B, K)
    propensities: NDArray[np.float32]  # (B, K) of the slot's item given the slots before it
    sources: NDArray[np.int32]  # (B, K) bit per source that proposed the item
    contexts: NDArray[np.int32]  # (B,)
    arms: NDArray[np.int32]  # (B,)
    arm_propensities: NDArray[np.float32]  # (B,)
    deep_ms: float  # what the transformer took of the batch


class Recommender:
    """Ties sources, ranker and bandit; owns none of their learning. Not thread-safe: one caller at a time.

    `bandit` may be replaced between calls: it comes with the adapters. Until `trained`, candidates rank in the
    order in which the sources' ranks fuse: untrained weights would shuffle them. Of a shopper's items the
    `remembered` latest count, None for all: that comes with the adapters too.
    """

    def __init__(
        self,
        config: RecommendConfig,
        *,
        sources: SourceSet,
        ranker: Ranker,
        bandit: DiversityBandit,
        timer: StageTimer | None = None,
    ) -> None:
        self.config = config
        self.sources = sources
        self.ranker = ranker
        self.bandit = bandit
        self.trained = False
        self.remembered: int | None = None
        self._timer = timer or (lambda _stage, _ms: None)

    def recommend(
        self,
        states: StateView,
        *,
        now_ms: NDArray[np.int64],
        seeds: NDArray[np.uint64],
        plan: Plan,
        deep: bool,
    ) -> Recommendations:
        """Slates for B users at event times `now_ms` (B,); the same state, seeds and plan give the same slates.

        `deep` says whether the transformer serves at all; `plan` for how many of the users.
        """
        ranked = self.rank(states, now_ms=now_ms, share=plan.candidates_share)
        with self._stage("wide"):
            view = self.ranker.view(ranked.batch)
            scores = self._wide_scores(view, ranked.batch)
        asked = np.arange(len(now_ms)) < (plan.deep_users if deep and self.trained else 0)
        started = perf_counter()
        if asked.any():
            table = self.item_table()
            scores = self.ranker.add_deep(ranked.batch, table, view=view, wide=scores, deep=asked).total
        deep_ms = (perf_counter() - started) * 1e3
        if asked.any():
            self._timer("deep", deep_ms)
        with self._stage("slate"):
            return self._slates(
                ranked, states=states, scores=scores, now_ms=now_ms, seeds=seeds, deep_ms=deep_ms
            )

    def rank(self, states: StateView, *, now_ms: NDArray[np.int64], share: float = 1.0) -> Ranked:
        """The candidates of B users and the batch to score them by; `share` of the candidates, first ones kept."""
        return self.rank_by(states, remembered=self.remembered, now_ms=now_ms, share=share)

    def rank_by(
        self, states: StateView, *, remembered: int | None, now_ms: NDArray[np.int64], share: float = 1.0
    ) -> Ranked:
        """As `rank`, with so many of the latest items counting in place of what serves."""
        with self._stage("query"):
            query = self.query(states, now_ms=now_ms, remembered=remembered)
        with self._stage("sources"):
            proposals = self.sources.propose(query)
        with self._stage("features"):
            limit = max(self.config.slate.k, round(self.sources.config.candidates * share))
            candidates = self.sources.unite(proposals, query=query, limit=limit)
        length = self.config.deep_history
        history = query.history[:, :length]
        ages_ms = np.maximum(now_ms[:, None] - query.history_last_ms[:, :length], 0)
        batch = RankBatch(
            candidates=candidates.items,
            features=candidates.features,
            history=history,
            history_kinds=states.history_kinds[:, :length],
            history_ages_ms=np.where(history > 0, ages_ms, 0),
        )
        return Ranked(query=query, candidates=candidates, batch=batch)

    def query(self, states: StateView, *, now_ms: NDArray[np.int64], remembered: int | None = None) -> Query:
        """What the sources are asked for B users of whom so many latest items count."""
        return self.sources.query(
            states.users,
            now_ms=now_ms,
            session=states.session,
            session_times_ms=states.session_times_ms,
            session_kinds=states.session_kinds,
            history=states.history,
            history_last_ms=states.history_last_ms,
            history_first_ms=states.history_first_ms,
            history_views=states.history_views,
            history_purchases=states.history_purchases,
            history_decayed=states.history_decayed,
            remembered=remembered,
        )

    def item_table(self) -> ItemTable:
        """What the transformer knows of each item row: live views."""
        vectors, hashes = self.sources.catalogue.item_table()
        return ItemTable(vectors=vectors, hashes=hashes)

    def draw(
        self,
        ranked: Ranked,
        *,
        scores: NDArray[np.float32],
        bonuses: NDArray[np.float32],
        seeds: NDArray[np.uint64],
    ) -> Slates:
        """B slates from scores (B, C) with bonuses (B, 3): what is tail, young and alike as the sources know it."""
        items = ranked.candidates.items
        return make_slates(
            scores,
            tail=self.sources.long_tail.is_tail(items),
            young=self.sources.long_tail.is_young(items),
            groups=self.sources.catalogue.groups(items),
            bonuses=bonuses,
            seeds=seeds,
            config=replace(
                self.config.slate, temperature=self.config.slate.temperature * self.bandit.exploration
            ),
        )

    def _wide_scores(self, view: WideView, batch: RankBatch) -> NDArray[np.float32]:
        """(B, C), -inf at padding."""
        if self.trained:
            return self.ranker.wide_scores(view)
        order = -np.log1p(np.arange(batch.candidates.shape[1], dtype=np.float32))  # odds 1, 1/2, 1/3, ...
        return np.where(view.valid, order, np.float32(-np.inf))

    def _slates(
        self,
        ranked: Ranked,
        *,
        states: StateView,
        scores: NDArray[np.float32],
        now_ms: NDArray[np.int64],
        seeds: NDArray[np.uint64],
        deep_ms: float,
    ) -> Recommendations:
        items = ranked.candidates.items
        contexts = states.contexts(now_ms)
        arms, arm_propensities = self.bandit.choose(contexts, seeds=seeds)
        slates = self.draw(ranked, scores=scores, bonuses=self.bandit.bonuses(arms), seeds=seeds)
        empty = slates.positions < 0
        picked = (np.arange(len(items))[:, None], slates.positions)  # -1 takes the last, which is blanked
        chosen, chosen_scores, sources = items[picked], scores[picked], ranked.candidates.sources[picked]
        for array in (chosen, chosen_scores, sources):
            array[empty] = 0
        return Recommendations(
            items=chosen,
            scores=chosen_scores,
            propensities=slates.propensities,
            sources=sources,
            contexts=contexts,
            arms=arms,
            arm_propensities=arm_propensities,
            deep_ms=deep_ms,
        )

    @contextmanager
    def _stage(self, name: str) -> Iterator[None]:
        started = perf_counter()
        yield
        self._timer(name, (perf_counter() - started) * 1e3)
