"""A stream's training steps, recorded once and then learnt again by learners of many kinds.

Candidates, features and histories come from sources and states, which no ranker changes: so they are made once,
and each learner is shown the same units in the same steps.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bench.offline import Offline
from bench.telling import Tell, silent
from events.types import AnyUserEvent, CatalogueItem
from models.batch import ItemTable, RankBatch
from models.learner import Learner, StepReport
from models.ranker import Scores, WideView
from streams.publisher import Record
from streams.settings import Settings


@dataclass(frozen=True, slots=True)
class RecordedStep:
    """B units that were predicted by one state of the model and then learnt from together."""

    batch: RankBatch
    gains: NDArray[np.float32]  # (B, C)
    labels: NDArray[np.float32]  # (B, C, 3)
    relevant: NDArray[np.int64]  # (B,) items that were right, found or not; 0 where the unit is not counted


@dataclass(frozen=True, slots=True)
class Recording:
    """A stream's steps in order, and what is known of its items at the end."""

    steps: Sequence[RecordedStep]
    table: ItemTable
    n_features: int

    @property
    def units(self) -> int:
        """Of all steps."""
        return sum(len(step.batch) for step in self.steps)


class RecordingLearner(Learner):
    """Learns nothing; keeps what it was shown."""

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
        self.steps: list[RecordedStep] = []
        self._relevant: list[NDArray[np.int64]] = []

    def validate(
        self,
        batch: RankBatch,
        table: ItemTable,  # noqa: ARG002 (of Learner.validate)
        *,
        gains: NDArray[np.float32],
        relevant: NDArray[np.int64] | None = None,
        served: tuple[WideView, NDArray[np.float32]] | None = None,  # noqa: ARG002
    ) -> Scores:
        """Keeps how many items were right; scores nothing."""
        self._relevant.append(np.zeros(len(batch), np.int64) if relevant is None else relevant)
        nothing = np.zeros(gains.shape, np.float32)
        return Scores(
            nothing, nothing, np.zeros(len(batch), np.bool_), np.zeros((*gains.shape, 3), np.float32)
        )

    def learn(
        self,
        batch: RankBatch,
        table: ItemTable,  # noqa: ARG002 (of Learner.learn)
        *,
        gains: NDArray[np.float32],
        logq: NDArray[np.float32] | None = None,  # noqa: ARG002
        labels: NDArray[np.float32] | None = None,
    ) -> StepReport:
        """Keeps the step."""
        told = np.zeros((*gains.shape, 3), np.float32) if labels is None else labels
        self.steps.append(RecordedStep(batch, gains, told, np.concatenate(self._relevant)))
        self._relevant = []
        return StepReport(len(batch), 0)


def record(
    events: Iterable[AnyUserEvent],
    *,
    settings: Settings,
    items: Sequence[CatalogueItem] = (),
    vectors: Sequence[Record] = (),
    tell: Tell = silent,
) -> Recording:
    """What a learner would be shown of these events; `items` and `vectors` as `Offline.run` takes them."""
    wide = settings.updated(learner={"deep": False})
    offline = Offline(wide, learner=RecordingLearner)
    offline.run(events, items=items, vectors=vectors, tell=tell)
    learner = offline.learner
    if not isinstance(learner, RecordingLearner):
        raise TypeError(f"expected the learner that records, got {type(learner).__name__}")
    table = offline.recommender.item_table()
    return Recording(
        learner.steps, ItemTable(table.vectors.copy(), table.hashes.copy()), learner.ranker.n_features
    )
