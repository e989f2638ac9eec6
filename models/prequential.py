"""Progressive validation of the ranker: units are scored before they are learnt from, deep part or not."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.errors import ConfigError
from models.gate import DeepGate, GateConfig
from models.metrics import SlidingWindow, UnitMetrics, rank_metrics
from models.ranker import Scores
from models.state import Arrays, under_prefix, with_prefix

METRICS = ("recall", "ndcg", "mrr", "hit")


@dataclass(frozen=True, slots=True)
class PrequentialConfig:
    """What is measured, over how much, and how often the deep part is asked for the comparison."""

    k: int = 20
    window: int = 2_000  # units
    deep_sample_every: int = 8  # one unit in so many is also scored with the deep part
    gate: GateConfig = field(default_factory=GateConfig)

    def __post_init__(self) -> None:
        if self.k < 1 or self.window < 1 or self.deep_sample_every < 1:
            raise ConfigError(
                f"PrequentialConfig: k {self.k}, window {self.window} and deep_sample_every "
                f"{self.deep_sample_every} must be at least 1"
            )


class Prequential:
    """Sliding means of the wide part on all units, and of both parts on the units that had both."""

    def __init__(self, config: PrequentialConfig | None = None) -> None:
        self.config = config or PrequentialConfig()
        self.gate = DeepGate(self.config.gate)
        self._units = 0
        self._windows = {
            f"{part}.{metric}": SlidingWindow(self.config.window)
            for part in ("wide", "paired_wide", "paired_total")
            for metric in METRICS
        }

    def deep_sample(self, n: int) -> NDArray[np.bool_]:
        """(n,) which of the next n units to score with the deep part too; by their number, not by chance."""
        numbers = self._units + np.arange(n)
        return np.asarray(numbers % self.config.deep_sample_every == 0)

    def observe(
        self, scores: Scores, *, gains: NDArray[np.float32], relevant: NDArray[np.int64] | None = None
    ) -> NDArray[np.float32]:
        """Add a batch scored before it is learnt from; units with nothing relevant say nothing.

        Returns (m,) the loss of each that says something: 1 - recall@k of the wide part.

        `gains`: (B, C); `relevant`: (B,) relevant items in all. Leave it out only if the candidates always
        hold them all: otherwise the units whose items were not found go uncounted.
        """
        self._units += len(gains)
        k = self.config.k
        told = np.asarray((gains > 0).any(1) if relevant is None else relevant > 0)
        wide = rank_metrics(scores.wide, gains=gains, k=k, relevant=relevant)
        total = wide  # the same scores, unless the deep part added something
        if scores.deep_used.any():
            total = rank_metrics(scores.total, gains=gains, k=k, relevant=relevant)
        paired = told & scores.deep_used
        self._push("wide", wide, told)
        self._push("paired_wide", wide, paired)
        self._push("paired_total", total, paired)
        self.gate.observe(without=wide.ndcg[paired], with_deep=total.ndcg[paired])
        losses: NDArray[np.float32] = 1 - wide.recall[told]
        return losses

    def _push(self, part: str, metrics: UnitMetrics, units: NDArray[np.bool_]) -> None:
        for metric in METRICS:
            values: NDArray[np.float32] = getattr(metrics, metric)
            self._windows[f"{part}.{metric}"].push(values[units])

    def report(self) -> dict[str, float]:
        """Means over the window, as `part.metric@k`, with `wide.units`, `paired.units` and the deep share."""
        means = {f"{name}@{self.config.k}": window.mean for name, window in self._windows.items()}
        return {
            **means,
            "wide.units": float(len(self._windows["wide.ndcg"])),
            "paired.units": float(len(self._windows["paired_wide.ndcg"])),
            "deep.gain": self.gate.mean_gain,
            "deep.pays": float(self.gate.pays()),
        }

    def snapshot(self) -> Arrays:
        arrays = with_prefix("gate", self.gate.snapshot())
        for name, window in self._windows.items():
            arrays |= with_prefix(name, window.snapshot())
        return {**arrays, "units": np.array(self._units, np.int64)}

    def restore(self, arrays: Arrays) -> None:
        """Take `snapshot`'s arrays; InputError when they are of another configuration."""
        self.gate.restore(under_prefix("gate", arrays))
        for name, window in self._windows.items():
            window.restore(under_prefix(name, arrays))
        self._units = int(arrays["units"])
