"""The product's own parts in one process, driven unit by unit: each event is in state before the next question."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bench.offline import Offline
from bench.prequential.variants import Variant
from events.ids import UserId
from events.types import AnyUserEvent
from models.bandit import Arm, BanditConfig
from models.batch import RankBatch
from models.learner import Learner
from models.ranker import Scores, WideView
from serving.learning import Learning
from serving.recommender import Ranked, Recommender
from serving.state import StateView
from streams.building import bandit_config, ranker_config
from streams.publisher import Record
from streams.settings import Settings

PURE = (Arm("none"), Arm("none-either"))  # a bandit needs two arms to have a choice


class RankedOnce(Recommender):
    """The product's recommender, which remembers the last ranking and its scores: a benchmark asks, and then the
    learner asks for the same shopper at the same time, with nothing learnt in between. `forget` when anything
    was."""

    _key: tuple[int, int, int] | None = None
    _last: Ranked | None = None
    _scored: tuple[RankBatch, WideView, NDArray[np.float32]] | None = None

    def rank(self, states: StateView, *, now_ms: NDArray[np.int64], share: float = 1.0) -> Ranked:
        """As Recommender.rank."""
        if len(states) != 1 or share != 1.0:
            return super().rank(states, now_ms=now_ms, share=share)
        key = (int(states.users[0]), int(states.events[0]), int(now_ms[0]))
        if self._last is None or key != self._key:
            self._key, self._last = key, super().rank(states, now_ms=now_ms, share=share)
        return self._last

    def forget(self) -> None:
        """Something was learnt: the last ranking is no longer what it would be."""
        self._last = self._scored = None

    def served(self, batch: RankBatch) -> tuple[WideView, NDArray[np.float32]] | None:
        """The view and the wide scores of the last ranking, where `batch` is its and the ranker scored it."""
        if self._scored is None or self._scored[0] is not batch:
            return None
        return self._scored[1:]

    def _wide_scores(self, view: WideView, batch: RankBatch) -> NDArray[np.float32]:
        scores = super()._wide_scores(view, batch)
        self._scored = (batch, view, scores) if self.trained else None
        return scores


class PromptLearning(Learning):
    """The product's learning, which folds each record in at once. The worker waits until a chunk of 32 is
    full, because its recommenders have sources of their own; here the same sources answer the next question."""

    _unrefreshed = 0  # events since text neighbours were searched

    def take(self, events: Sequence[AnyUserEvent]) -> NDArray[np.int8]:
        """As Learning.take, with nothing left waiting but training steps."""
        verdicts = super().take(events)
        self._predict_pending()
        return verdicts

    def _refresh(self, events: int) -> None:
        """As often as in the worker, for as many items as there were events: a search of 32 costs little more than
        one of 2."""
        self._unrefreshed += events
        if self._unrefreshed >= self.config.chunk_units:
            self._recommender.sources.refresh(limit=self._unrefreshed)
            self._unrefreshed = 0

    def _validate(
        self, batch: RankBatch, *, gains: NDArray[np.float32], relevant: NDArray[np.int64]
    ) -> Scores:
        """As Learning._validate, with the scores at hand that were just served."""
        recommender = self._recommender
        served = recommender.served(batch) if isinstance(recommender, RankedOnce) else None
        table = recommender.item_table()
        return self.learner.validate(batch, table, gains=gains, relevant=relevant, served=served)


class Engine(Offline):
    """Sources, recommender and learner of one process, for one variant; an event is in them before the next
    question."""

    def __init__(
        self,
        settings: Settings,
        *,
        variant: Variant,
        recommender: type[RankedOnce] = RankedOnce,
        learning: type[PromptLearning] = PromptLearning,
    ) -> None:
        pure = BanditConfig(arms=PURE, draws=1, seed=bandit_config(settings).seed)
        super().__init__(
            settings,
            recommender=recommender,
            learning=learning,
            bandit=None if variant.slate else pure,
            ranker=replace(ranker_config(settings), full=variant.full),
        )
        self.recommender.trained = False
        self._gated = variant.gated
        if not variant.lora:
            _freeze_lora(self.learner)

    @property
    def deep_serves(self) -> bool:
        """Whether the transformer is to rank: as its gate says, unless the variant holds it open."""
        return not self._gated or self.learner.prequential.gate.pays()

    def state_of(self, user: UserId, *, user_hash: NDArray[np.int64]) -> StateView:
        """What a query needs of the user now, B = 1."""
        states = self.codec.unpack([self.learning.states.get(user)], users=user_hash)
        return self.codec.view(states, history=self.learning.config.history)

    def take(self, events: Sequence[AnyUserEvent]) -> None:
        """Learn from one record's events; trains when a step is due."""
        self.learning.take(events)
        if self.learning.due:
            self.learning.train()
            self.bandit.explore(self.learner.exploration)
            self.steps += 1
            every = self.settings.learner.publish_every_batches
            if self.steps % every == 0:
                self.learner.promote(stamp=self.steps // every)  # on a breach the weights are rolled back
            # A recommender serves by the model from the first adapter on, and by fused ranks before.
            self.recommender.trained = self.steps >= every
        self._forget()

    def take_item(self, vector: Record) -> None:
        """As Offline.take_item."""
        super().take_item(vector)
        self._forget()

    def _forget(self) -> None:
        if isinstance(self.recommender, RankedOnce):
            self.recommender.forget()


def _freeze_lora(learner: Learner) -> None:
    """The adapter never gets a gradient, so it stays the identity that it begins as."""
    deep = learner.ranker.deep
    if deep is None:
        return
    for name, parameter in deep.backbone.named_parameters():
        if "lora_" in name:
            parameter.requires_grad_(False)
