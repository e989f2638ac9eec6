"""The product's own parts in one process, driven unit by unit: each event is in state before the next question."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from bench.prequential.variants import Variant
from events.clock import SystemClock
from events.ids import UserId
from events.topics import Topic
from events.types import AnyUserEvent
from index.sources.assembly import SourcesConfig, choices
from index.sources.source_set import SourceSet
from models.bandit import Arm, BanditConfig, DiversityBandit
from models.learner import Learner
from serving.learning import Learning, LearningConfig
from serving.recommender import Ranked, Recommender
from serving.state import StateView
from streams.building import (
    bandit_config,
    feature_schema,
    item_index,
    learner_config,
    learning_config,
    ranker_config,
    recommend_config,
    state_codec,
)
from streams.following import Following
from streams.log_reader import LogRecord
from streams.metrics import Metrics
from streams.publisher import Record
from streams.settings import Settings

PURE = (Arm("none", 0.0), Arm("none-either", 0.0))  # a bandit needs two arms to have a choice
_ITEM_VECTORS = Topic.ITEM_VECTORS.value


class RankedOnce(Recommender):
    """The product's recommender, which remembers the last ranking: a benchmark asks, and then the learner asks
    for the same shopper at the same time, with nothing learnt in between. `forget` when anything was."""

    _key: tuple[int, int, int] | None = None
    _last: Ranked | None = None

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
        self._last = None


class PromptLearning(Learning):
    """The product's learning, which folds each record in at once. The worker waits until a chunk of 32 is
    full, because its recommenders have sources of their own; here the same sources answer the next question."""

    def take(self, events: Sequence[AnyUserEvent]) -> None:
        """As Learning.take, with nothing left waiting but training steps."""
        super().take(events)
        self._predict_pending()


class Engine:
    """Sources, recommender and learner of one process, as bench.offline has them, for one variant."""

    def __init__(self, settings: Settings, *, variant: Variant) -> None:
        self.settings = settings
        index = item_index(settings)
        self.sources = SourceSet(
            settings.sources.limits(),
            index=index,
            config=_sources(settings, without=variant.without, also=variant.also),
            dim=index.dim,
        )
        self.learner = Learner(
            ranker_config(settings),
            learner_config(settings),
            n_features=len(self.sources.feature_names),
            dim=index.dim,
            schema=feature_schema(self.sources),
        )
        if self.learner.ranker.deep is not None and not variant.lora:
            _freeze_lora(self.learner)
        plain = bandit_config(settings)
        self.bandit = DiversityBandit(
            plain if variant.slate else BanditConfig(arms=PURE, draws=1, seed=plain.seed)
        )
        self.codec = state_codec(settings)
        self.recommender = RankedOnce(
            recommend_config(settings),
            sources=self.sources,
            ranker=self.learner.ranker,
            bandit=self.bandit,
        )
        units: LearningConfig = learning_config(settings)
        self.learning = PromptLearning(
            units, recommender=self.recommender, learner=self.learner, codec=self.codec
        )
        self.steps = 0
        self._following = Following(
            sources=self.sources,
            index=index,
            apply_adapter=_refuse_adapter,
            topics={_ITEM_VECTORS: Topic.ITEM_VECTORS},
            encoder_name=settings.learner.encoder,
            out_of_stock=settings.serving.out_of_stock,
            metrics=Metrics(role="learner"),
            clock=SystemClock(),
        )

    def state_of(self, user: UserId, *, user_hash: NDArray[np.int64]) -> StateView:
        """What a query needs of the user now, B = 1."""
        states = self.codec.unpack([self.learning.states.get(user)], users=user_hash)
        return self.codec.view(states, history=self.learning.config.history)

    def take(self, events: Sequence[AnyUserEvent]) -> None:
        """Learn from one record's events; trains when a step is due."""
        self.learning.take(events)
        if self.learning.due:
            self.learning.train()
            self.steps += 1
            # A recommender serves by the model from the first adapter on, and by fused ranks before.
            self.recommender.trained = self.steps >= self.settings.learner.publish_every_batches
        self.recommender.forget()

    def take_item(self, vector: Record) -> None:
        """Take a record of the topic item-vectors."""
        self._following.handle([LogRecord(_ITEM_VECTORS, 0, 0, 0, vector.key, vector.value)])
        self.recommender.forget()


def _sources(settings: Settings, *, without: str, also: str) -> SourcesConfig:
    names = {*settings.sources.use, *([also] if also else [])} - {without}
    return SourcesConfig(
        sources=choices(names),
        candidates=settings.serving.candidates,
        repeat=settings.serving.repeat,
    )


def _freeze_lora(learner: Learner) -> None:
    """The adapter never gets a gradient, so it stays the identity that it begins as."""
    deep = learner.ranker.deep
    if deep is None:
        return
    for name, parameter in deep.backbone.named_parameters():
        if "lora_" in name:
            parameter.requires_grad_(False)


def _refuse_adapter(_record: LogRecord) -> int:
    raise TypeError("in process, the ranker that learns is the ranker that serves")
