"""How the online learner is set up, and what it says of a step."""

from dataclasses import dataclass, field

from models.drift import DriftConfig
from models.errors import ConfigError
from models.prequential import PrequentialConfig
from models.promotion import PromotionConfig
from models.replay import ReplayConfig
from models.slate_loss import LossConfig

_COUNTS = ("replay_units", "replay_ratio", "replay_steps", "min_units", "deep_every", "deep_units")


@dataclass(frozen=True, slots=True)
class LearnerConfig:
    """How the ranker learns."""

    replay: ReplayConfig = field(default_factory=ReplayConfig)
    replay_units: int = 64  # past units beside the fresh ones in a step, at most
    replay_ratio: int = 8  # how often a unit is learnt from again: past units drawn for each fresh one
    replay_steps: int = 4  # steps with replayed units on one batch, at most
    average: float = 0.99  # decay of the wide part's averaged weights, by batch: those that score
    min_units: int = 8  # a batch with fewer units to learn from takes a smaller step
    clip_norm: float = 5.0
    deep_every: int = 4  # the deep part takes a step on every so many batches
    deep_units: int = 8  # on at most so many units
    task_weight: float = 0.2  # of the click, cart and purchase losses
    loss: LossConfig = field(default_factory=LossConfig)
    prequential: PrequentialConfig = field(default_factory=PrequentialConfig)
    drift: DriftConfig | None = field(default_factory=DriftConfig)  # None: nothing is done about drift
    promotion: PromotionConfig | None = field(
        default_factory=PromotionConfig
    )  # None: whatever is learnt serves
    seed: int = 1

    def __post_init__(self) -> None:
        for name in _COUNTS:
            if getattr(self, name) < 1:
                raise ConfigError(f"LearnerConfig.{name} is {getattr(self, name)}; it must be at least 1")
        if not self.clip_norm > 0 or self.task_weight < 0 or not 0 <= self.average < 1:
            raise ConfigError(
                f"LearnerConfig needs clip_norm > 0 (got {self.clip_norm}), task_weight >= 0 "
                f"(got {self.task_weight}) and 0 <= average < 1 (got {self.average})"
            )


@dataclass(frozen=True, slots=True)
class StepReport:
    """What became of one batch; `loss` and `grad_norm` are of the first wide step, nan without one."""

    units: int
    trained_units: int  # those with a positive among their candidates
    loss: float = float("nan")
    grad_norm: float = float("nan")
    skipped: str | None = None  # why nothing was learnt
    deep_loss: float | None = None  # None when this batch had no deep step
    deep_skipped: str | None = None
