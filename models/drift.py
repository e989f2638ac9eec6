"""Has what shoppers want changed? ADWIN on the prequential losses, and what is done about it for a while.

Two losses are watched, each a prediction judged before anything is learnt from it: of a unit, what the ranker
missed (1 - recall), and of a slate that was shown, that nobody answered it. The second says more of a change,
and sooner, where slates are shown. A detected rise of either raises the learning rate and the exploration;
both relax to normal as units go by, and the losses are watched anew; exploration at once where the trial of the
latest items fails (memory_trial.py). A fall is the learner getting better.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.adwin import Adwin, AdwinConfig
from models.errors import ConfigError
from models.memory_trial import MemoryTrial, MemoryTrialConfig
from models.state import Arrays, check_arrays, under_prefix, with_prefix

_RELAXED = 0.05  # a response weaker than this is over
_TENTHS = 10  # exploration moves in tenths, so that the bandit is not redrawn for nothing


@dataclass(frozen=True, slots=True)
class DriftConfig:
    """What counts as a change, how strong the response to it is, and how long it lasts."""

    # ten times as alert as river's: a vain alarm costs little, a swap of tastes that is missed costs half the recall
    adwin: AdwinConfig = field(default_factory=lambda: AdwinConfig(delta=0.02))
    least_rise: float = 0.02  # of a mean loss; less is not worth a response
    grace_units: int = 1_000  # at first the loss is the learner's youth, not the shoppers
    learning: float = 3.0  # the learning rate is multiplied by so much right after a detection
    exploration: float = 20.0  # likewise the temperature of slates and the spread of the bandit's posteriors
    half_life_units: float = 1_000.0  # of what both are raised by
    memory: MemoryTrialConfig = field(default_factory=MemoryTrialConfig)

    def __post_init__(self) -> None:
        if self.learning < 1 or self.exploration < 1 or not self.half_life_units > 0:
            raise ConfigError(
                f"DriftConfig needs learning >= 1 (got {self.learning}), exploration >= 1 "
                f"(got {self.exploration}) and half_life_units > 0 (got {self.half_life_units})"
            )
        if self.least_rise < 0 or self.grace_units < 0:
            raise ConfigError(
                f"DriftConfig needs least_rise >= 0 (got {self.least_rise}) "
                f"and grace_units >= 0 (got {self.grace_units})"
            )


class Drift:
    """Watches the losses and holds the response. While it responds it does not watch: exploration itself
    raises the losses, and would keep itself going.

    >>> drift = Drift(DriftConfig(grace_units=0, half_life_units=100))
    >>> drift.observe(np.full(1_024, 0.2)), drift.learning
    (False, 1.0)
    >>> drift.observe(np.full(96, 0.9)), drift.learning > 2, drift.exploration > 10
    (True, True, True)
    >>> drift.observe(np.full(1_000, 0.9)), drift.learning, drift.exploration
    (False, 1.0, 1.0)
    """

    def __init__(self, config: DriftConfig | None = None) -> None:
        self.config = config or DriftConfig()
        self.detections = 0
        self.memory = MemoryTrial(self.config.memory)
        self._of_units = Adwin(self.config.adwin)
        self._of_slates = Adwin(self.config.adwin)
        self._units = 0
        self._level = 0.0  # of the response: 1 right after a detection, halved with each half-life
        self._slate_open = False  # one was shown, and the next has not been yet
        self._answered = False  # it was clicked on since

    def observe(self, losses: NDArray[np.floating]) -> bool:
        """Take the (n,) losses in 0..1 of units in their order; whether a rise was detected among them."""
        before = self.detections
        for loss in losses.tolist():
            self._units += 1
            self._level *= 0.5 ** (1 / self.config.half_life_units)
            if self._level < _RELAXED:
                self._level = 0.0
            self._watch(self._of_units, loss)
        return self.detections > before

    def shown(self) -> bool:
        """A slate was shown to a shopper; whether a rise was detected with the slate before it.

        The answer to a slate is what comes until the next is shown to anybody: right on average.
        """
        before = self.detections
        if self._slate_open:
            self._watch(self._of_slates, float(not self._answered))
        self._slate_open, self._answered = True, False
        return self.detections > before

    def answered(self) -> None:
        """A shopper took something from a slate that was shown."""
        self._answered = True

    def _watch(self, adwin: Adwin, loss: float) -> None:
        if self._level:
            return
        if adwin.update(loss) > self.config.least_rise and self._units >= self.config.grace_units:
            self.detections += 1
            self._level = 1.0
            self.memory.begin()
            # What was before is no measure any more, and would be found again once the response is over.
            self._of_units, self._of_slates = Adwin(self.config.adwin), Adwin(self.config.adwin)

    @property
    def learning(self) -> float:
        """What the learning rate is multiplied by now, at least 1."""
        return 1.0 + (self.config.learning - 1.0) * self._level

    @property
    def exploration(self) -> float:
        """What exploration is multiplied by now, at least 1. Where histories have proved to count as before, there is
        nothing to search for: what raised the losses was no change of tastes."""
        if not self.memory.latest_serve:
            return 1.0
        return round((1.0 + (self.config.exploration - 1.0) * self._level) * _TENTHS) / _TENTHS

    @property
    def remembered(self) -> int | None:
        """How many of a shopper's latest items are to count now; None for all."""
        return self.memory.span(self.exploration)

    def snapshot(self) -> Arrays:
        """Everything, copied."""
        flags = [self.detections, self._units, int(self._slate_open), int(self._answered)]
        return {
            **with_prefix("of_units", self._of_units.snapshot()),
            **with_prefix("of_slates", self._of_slates.snapshot()),
            **with_prefix("memory", self.memory.snapshot()),
            "counts": np.array(flags, np.int64),
            "level": np.array(self._level, np.float64),
        }

    def restore(self, arrays: Arrays) -> None:
        """Take `snapshot`'s arrays; InputError, and nothing changed, when they do not fit."""
        check_arrays(arrays, expected=self.snapshot())
        self._of_units.restore(under_prefix("of_units", arrays))
        self._of_slates.restore(under_prefix("of_slates", arrays))
        self.memory.restore(under_prefix("memory", arrays))
        self.detections, self._units, shown, answered = (int(count) for count in arrays["counts"])
        self._slate_open, self._answered = bool(shown), bool(answered)
        self._level = float(arrays["level"])
