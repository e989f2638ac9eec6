"""Headwater with another ranker: LightGBM's LambdaMART over the same candidates and the same features.

What users of a feature store with a nightly ranker would have. Sources, states and slates are the product's;
the trees are grown anew every 5 % of the stream from the latest 6,000 units that have a target among their
candidates. Before the first fit, slates are in the order in which the sources' ranks fuse.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.prequential.engine import Engine, PromptLearning, RankedOnce
from bench.prequential.headwater import Headwater
from bench.prequential.variants import Variant
from events.types import AnyUserEvent
from load.prequential.contender import StreamInfo, Unit
from models.baselines.lambdamart import LambdaMart, LambdaMartConfig
from models.batch import RankBatch
from models.learner import StepReport
from models.ranker import WideView
from serving.asked import Asked
from streams.publisher import Record
from streams.settings import Settings

NAME = "lambdamart"
VARIANT = Variant(deep=False)
REFITS = 20  # over the whole stream, evenly: one every 5 %


class TreeRecommender(RankedOnce):
    """The product's recommender, whose scores come from `trees` once it is `trained`."""

    trees: LambdaMart

    def _wide_scores(self, view: WideView, batch: RankBatch) -> NDArray[np.float32]:
        if not self.trained:
            return super()._wide_scores(view, batch)
        return self.trees.score(batch.features, valid=view.valid)


class TreeLearning(PromptLearning):
    """The product's learning, which hands the units to `trees` instead of taking a step."""

    trees: LambdaMart

    def train(self) -> StepReport:
        """Every unit that waits goes to the trees' memory."""
        waiting, self._waiting = self._waiting, []
        for units in waiting:
            valid = units.batch.candidates != 0  # row 0 is padding by contract
            self.trees.add(units.batch.features, gains=units.gains, valid=valid)
        return StepReport(sum(len(units.gains) for units in waiting), 0)

    def _compare(self, asked: Asked, batch: RankBatch, *, gains: NDArray[np.float32]) -> None:
        """The learner's own ranker is not in use, so nothing is compared with it."""


class TreeEngine(Engine):
    """The product's parts around `trees`."""

    def __init__(self, settings: Settings, *, trees: LambdaMart) -> None:
        super().__init__(settings, variant=VARIANT, recommender=TreeRecommender, learning=TreeLearning)
        self.trees = trees
        parts: tuple[Any, Any] = (self.recommender, self.learning)
        for part in parts:
            part.trees = trees

    def take(self, events: Sequence[AnyUserEvent]) -> None:
        """As Engine.take; the recommender is trained once there are trees."""
        super().take(events)
        self.recommender.trained = self.trees.fitted


class TreeRanking(Headwater):
    """The contender."""

    engine: TreeEngine

    def __init__(
        self,
        info: StreamInfo,
        *,
        settings: Settings,
        vectors: Sequence[tuple[int, Record]] = (),
        config: LambdaMartConfig | None = None,
        refits: int = REFITS,
    ) -> None:
        chosen = config or LambdaMartConfig(threads=settings.learner.threads)
        trees = LambdaMart(chosen, seed=settings.learner.seed)
        engine = TreeEngine(settings, trees=trees)
        super().__init__(info, name=NAME, variant=VARIANT, settings=settings, vectors=vectors, engine=engine)
        self._every = max(1, -(-info.n_units // refits))

    def learn(self, unit: Unit, /) -> None:
        """See Contender; grows new trees when the schedule says so."""
        super().learn(unit)
        if (unit.index + 1) % self._every == 0:
            self.engine.learning.train()  # nothing is left waiting
            self.engine.trees.fit()
            self.engine.recommender.trained = self.engine.trees.fitted
