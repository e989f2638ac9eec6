"""May what was learnt serve? Decided from the log alone, so that a replay of the log decides the same.

A *candidate* (the weights that learn) is judged against the *anchor*: the last weights that served and proved
themselves. Both score the same units before anything is learnt from them. Two things speak against a candidate:

- It ranks the same units worse than the anchor, by more than the margin.
- What happens stops fitting the anchor for a minority of the units: the mass that it predicted for the lower half
  of its own rankings no longer equals the rate observed there, while it still ranks most units as well as before.
  A learner cannot tell such labels from a taste by its own score, which rises with either. So a change of a
  minority has to last before it serves, and a change of the majority serves at once.

The first kind restarts the candidate from the anchor. The second does too, and again once the labels are as they
were: nothing is kept of what was learnt in between.
"""

from dataclasses import dataclass, fields
from enum import IntEnum, StrEnum

import numpy as np
from numpy.typing import NDArray

from models.errors import ConfigError
from models.metrics import SlidingWindow
from models.state import Arrays, check_arrays, under_prefix, with_prefix

_CLEAR_AT = 0.5  # of the bound: the labels are as they were once less than this is left of the difference


@dataclass(frozen=True, slots=True)
class PromotionConfig:
    """What is asked of a candidate, and over how much."""

    margin: float = 0.02  # NDCG@20 that a candidate may rank below the anchor
    calibration: float = 0.08  # of the rate in the lower half of a ranking: observed less predicted
    majority: float = 0.5  # an anchor that keeps this share of its NDCG still fits the majority
    sigma: float = 4.0  # standard errors by which a bound must be passed, or chance alone passes it
    window: int = 512  # judged units
    min_units: int = 128  # no verdict on fewer
    grace_units: int = 1_000  # at first nobody has proved anything: only what is not finite is held back
    patience_units: int = 2_000  # a change of a minority that lasts so long is a taste
    sample_every: int = (
        1  # of the units with something right among their candidates, one in so many is judged
    )

    def __post_init__(self) -> None:
        if not 2 <= self.min_units <= self.window:
            raise ConfigError(f"min_units {self.min_units} must be from 2 to the window {self.window}")
        for field in fields(self):
            if not getattr(self, field.name) >= (1 if field.name == "sample_every" else 0):
                raise ConfigError(f"PromotionConfig.{field.name} is {getattr(self, field.name)}: too small")


@dataclass(frozen=True, slots=True)
class Judged:
    """n units scored by both, before anything was learnt from them."""

    candidate: NDArray[np.float32]  # (n,) NDCG
    anchor: NDArray[np.float32]  # (n,) NDCG
    surprise: NDArray[np.float64]  # (n,) of the anchor's lower half: gains found there less mass predicted
    own_surprise: NDArray[np.float64]  # (n,) the same of the candidate's
    finite: bool  # every score of the candidate


class Decision(StrEnum):
    """What serves from now on, and what becomes of the candidate."""

    PROMOTED = "promoted"  # the candidate
    CONFIRMED = (
        "confirmed"  # the candidate; the copy on probation is the anchor now, and the candidate the copy
    )
    ACCEPTED = "accepted"  # the candidate, after a change that lasted; it is the anchor at once
    HELD = "held"  # the anchor; the candidate learns on
    ROLLED_BACK = "rolled-back"  # the anchor; the candidate restarts from it
    RELEASED = "released"  # the anchor, from which the candidate restarts; the next candidate may serve


@dataclass(frozen=True, slots=True)
class Verdict:
    """A decision and its reason."""

    decision: Decision
    why: str

    @property
    def candidate_serves(self) -> bool:
        return self.decision in (Decision.PROMOTED, Decision.CONFIRMED, Decision.ACCEPTED)

    @property
    def restarts(self) -> bool:
        """Whether the candidate goes back to the anchor."""
        return self.decision in (Decision.ROLLED_BACK, Decision.RELEASED)


class _Holding(IntEnum):
    NO = 0
    WORSE = 1
    LABELS = 2


class Promotion:
    """`observe` units as they are judged, `decide` when an adapter is due.

    >>> promotion = Promotion(PromotionConfig(window=8, min_units=4, grace_units=0, sigma=0))
    >>> def told(candidate: float, anchor: float, surprise: float = 0.0) -> str:
    ...     ndcg = [np.full(4, value, np.float32) for value in (candidate, anchor)]
    ...     promotion.observe(Judged(*ndcg, np.full(4, surprise), np.zeros(4), finite=True))
    ...     return promotion.decide().decision.value
    >>> told(0.5, 0.5), told(0.5, 0.49), told(0.2, 0.5), told(0.5, 0.5), told(0.5, 0.5)
    ('confirmed', 'confirmed', 'rolled-back', 'promoted', 'confirmed')
    """

    def __init__(self, config: PromotionConfig) -> None:
        self.config = config
        self._units = 0
        self._held_at = 0
        self._holding = _Holding.NO
        self._finite = True
        self._level = 0.0  # NDCG of the anchor when it became one
        self._confirmed = 0  # anchors so far: the first is what the learner started with
        names = ("gain", "candidate", "surprise", "own_surprise")
        self._windows = {name: SlidingWindow(config.window) for name in names}
        self._windows["lately"] = SlidingWindow(config.min_units)  # NDCG of the anchor: a majority tells soon

    @property
    def holding(self) -> bool:
        """Whether the anchor serves in place of the candidate."""
        return self._holding is not _Holding.NO

    def observe(self, judged: Judged) -> None:
        """Add units in log order."""
        self._finite &= judged.finite
        self._units += len(judged.anchor)
        gain = judged.candidate.astype(np.float64) - judged.anchor
        self._windows["gain"].push(gain)
        self._windows["candidate"].push(judged.candidate)
        self._windows["lately"].push(judged.anchor)
        self._windows["surprise"].push(judged.surprise)
        self._windows["own_surprise"].push(judged.own_surprise)

    def decide(self, *, finite: bool = True) -> Verdict:
        """What serves from now on; `finite`: all of the candidate's weights are. Call it once for each adapter
        that is due."""
        scores_finite, self._finite = self._finite, True
        if not (finite and scores_finite):
            return self._hold(_Holding.WORSE, f"{'scores' if finite else 'weights'} are not finite")
        if self._units < self.config.grace_units:
            return self._confirm_or_promote()
        if self._holding is _Holding.NO:
            return self._judge()
        return self._judge_held()

    def _judge(self) -> Verdict:
        if self._worse():
            return self._hold(_Holding.WORSE, f"ranks worse than the anchor: NDCG {self._told('gain')}")
        if self._of_a_minority():
            return self._hold(
                _Holding.LABELS,
                f"a minority of the labels does not fit: {self._told('surprise')} in the lower half, "
                f"NDCG of the anchor {self._mean('lately'):.3f}, once {self._level:.3f}",
            )
        if self._beyond("own_surprise") and self._mean("own_surprise") > self._mean("surprise"):
            return Verdict(Decision.HELD, f"not calibrated: {self._told('own_surprise')} in its lower half")
        return self._confirm_or_promote()

    def _judge_held(self) -> Verdict:
        held = self._units - self._held_at
        labels = self._holding is _Holding.LABELS
        better = self._mean("gain") >= 0
        if held < self.config.min_units:
            return Verdict(
                Decision.HELD, f"{held} of {self.config.min_units} units judged since it restarted"
            )
        if self._worse():
            return self._hold(self._holding, f"ranks worse than the anchor: NDCG {self._told('gain')}")
        if labels and self._mean("surprise") > _CLEAR_AT * self.config.calibration:
            return self._while_labels_do_not_fit(held, better=better)
        self._holding = _Holding.NO
        if better and not labels:
            return Verdict(Decision.PROMOTED, f"proved itself again: NDCG {self._told('gain')}")
        self._forget("gain", "candidate", "own_surprise")
        return Verdict(Decision.RELEASED, f"as before again, after {held} units")

    def _while_labels_do_not_fit(self, held: int, *, better: bool) -> Verdict:
        if held < self.config.patience_units and self._majority_fits():
            return Verdict(Decision.HELD, f"labels do not fit: {self._told('surprise')} in the lower half")
        if not better:
            return Verdict(
                Decision.HELD, f"what changed lasts, and is not learnt yet: NDCG {self._told('gain')}"
            )
        self._holding = _Holding.NO
        self._became_anchor()
        self._forget("surprise")
        return Verdict(Decision.ACCEPTED, f"what changed lasts, after {held} units")

    def _confirm_or_promote(self) -> Verdict:
        gain = self._windows["gain"]
        doubted = self._mean("surprise") > _CLEAR_AT * self.config.calibration and self._established()
        if len(gain) >= self.config.min_units and gain.mean >= 0 and not doubted:
            why = f"at least as good as the anchor: NDCG {self._told('gain')}"
            self._became_anchor()
            return Verdict(Decision.CONFIRMED, why)
        return Verdict(Decision.PROMOTED, f"not worse than the anchor: NDCG {self._told('gain')}")

    def _hold(self, kind: _Holding, why: str) -> Verdict:
        if self._holding is _Holding.NO or kind is _Holding.WORSE:
            self._held_at = self._units
        self._holding = kind
        self._forget("gain", "candidate", "own_surprise")
        return Verdict(Decision.ROLLED_BACK, why)

    def _became_anchor(self) -> None:
        """Another anchor: comparisons begin anew. What labels were like stays known, or labels that turn bad
        slowly would never be found."""
        self._level = self._mean("candidate")
        self._confirmed += 1
        self._forget("gain", "candidate", "own_surprise")

    def _forget(self, *names: str) -> None:
        for name in names:
            self._windows[name] = SlidingWindow(self.config.window)

    def _worse(self) -> bool:
        gain = self._windows["gain"]
        if len(gain) < self.config.min_units:
            return False
        return gain.mean < -self.config.margin and gain.mean < -self.config.sigma * gain.standard_error

    def _of_a_minority(self) -> bool:
        """Whether labels stopped fitting the anchor, and most of them still do."""
        return self._beyond("surprise") and self._established()

    def _established(self) -> bool:
        """Whether the anchor has learnt anything, and most of what happens still fits it."""
        return self._confirmed > 1 and self._majority_fits()

    def _majority_fits(self) -> bool:
        return self._mean("lately") >= self.config.majority * self._level

    def _mean(self, name: str) -> float:
        return self._windows[name].mean

    def _beyond(self, name: str) -> bool:
        seen = self._windows[name]
        if len(seen) < self.config.min_units:
            return False
        return seen.mean > self.config.calibration and seen.mean > self.config.sigma * seen.standard_error

    def _told(self, name: str) -> str:
        window = self._windows[name]
        return f"{window.mean:+.4f} over {len(window)} units"

    def report(self) -> dict[str, float]:
        """The means that the next decision looks at, and how many units they are of."""
        means = {name: window.mean for name, window in self._windows.items()}
        return {**means, "units": float(len(self._windows["gain"]))}

    def snapshot(self) -> Arrays:
        """Everything, copied."""
        arrays: Arrays = {
            "counts": np.array(
                [self._units, self._held_at, self._holding, self._finite, self._confirmed], np.int64
            ),
            "level": np.array(self._level, np.float64),
        }
        for name, window in self._windows.items():
            arrays |= with_prefix(name, window.snapshot())
        return arrays

    def restore(self, arrays: Arrays) -> None:
        """Take `snapshot`'s arrays; InputError, and nothing changed, when they do not fit."""
        check_arrays(arrays, expected=self.snapshot())
        self._units, self._held_at, holding, finite, self._confirmed = map(int, arrays["counts"])
        self._holding, self._finite = _Holding(holding), bool(finite)
        self._level = float(arrays["level"])
        for name, window in self._windows.items():
            window.restore(under_prefix(name, arrays))
