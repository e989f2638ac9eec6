"""All figures of one run, for the report: accuracy by group of units and of targets, with intervals, and costs."""

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from load.prequential.beyond import ItemFacts, beyond_accuracy
from load.prequential.bootstrap import BootstrapConfig, block_bootstrap
from load.prequential.contender import StreamInfo
from load.prequential.running import Run
from load.prequential.scoring import target_metrics, target_ranks, unit_metrics
from load.prequential.texts import tf_idf, topics
from load.prequential.units import Known, Units

F64 = NDArray[np.float64]
HEADLINES = ("recall@20", "ndcg@20", "mrr@20", "hitrate@20")
_CURVE_POINTS, _LEAST_PER_POINT = 50, 40


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """One run with its metrics."""

    run: Run
    units: dict[str, F64]  # metric -> (n,)
    targets: dict[str, F64]  # metric -> (T,)


def score(run: Run, *, units: Units, n_items: int) -> Scored:
    """The metrics of every unit and of every target."""
    ranks = target_ranks(run.lists, units=units, n_items=n_items)
    return Scored(run, unit_metrics(ranks, units=units), target_metrics(ranks))


def item_facts(info: StreamInfo) -> ItemFacts:
    """Vectors from the items' texts; groups from their categories, else topics found in the texts."""
    vectors = tf_idf(info.item_texts) if info.item_texts is not None else None
    if info.item_categories is not None:
        names = {name: at for at, name in enumerate(dict.fromkeys(filter(None, info.item_categories)))}
        groups = np.array([names.get(name, -1) for name in info.item_categories], np.int64)
        return ItemFacts(vectors, groups, "category")
    if vectors is None:
        return ItemFacts()
    return ItemFacts(vectors, topics(vectors), "topic")


@dataclass(frozen=True, slots=True)
class Judge:
    """Makes the figures of runs over the same units."""

    units: Units
    known: Known
    n_items: int
    facts: ItemFacts
    bootstrap: BootstrapConfig = field(default_factory=BootstrapConfig)

    def figures(self, scored: Scored) -> dict[str, Any]:
        """The model's part of the JSON report, plain values."""
        known, run = self.known, scored.run
        counted_targets = known.counted[self.units.owners]
        warm_targets = counted_targets & known.warm[self.units.owners]
        unit_groups = {
            "warm": known.counted & known.warm,
            "cold": known.counted & ~known.warm,
            "all": known.counted,
        }
        target_groups = {
            "young": counted_targets & known.young,
            "young_warm": warm_targets & known.young,
            "new_item": counted_targets & ~known.known,
        }
        return {
            **{name: self._group(scored.units, chosen) for name, chosen in unit_groups.items()},
            **{name: self._group(scored.targets, chosen) for name, chosen in target_groups.items()},
            "popularity_decile": [
                self._plain(scored.targets, warm_targets & (known.decile == decile)) for decile in range(10)
            ],
            **beyond_accuracy(
                run.lists, units=self.units, known=known, n_items=self.n_items, facts=self.facts
            ),
            "recommend_ms": _percentiles(run.recommend_us),
            "learn_ms": _percentiles(run.learn_us),
            "units_per_s": run.units_per_s,
            "elapsed_s": run.elapsed_s,
            "cpu_s": run.cpu_s,
            "units_per_cpu_s": len(run.lists) / max(run.cpu_s, 1e-9),
            "peak_rss_mb": run.peak_mb,
            "rss_before_mb": run.before_mb,
            "rss_mb_at": memory_at(run.memory_mb),
            "rss_mb_over_stream": [round(float(value), 1) for value in run.memory_mb],
            "curve": self.curve(scored),
        }

    def curve(self, scored: Scored) -> dict[str, list[float]]:
        """Means over the warm units of equal stretches of the whole stream, the burn-in's included."""
        n = len(self.units)
        stretches = min(_CURVE_POINTS, max(1, n // _LEAST_PER_POINT))
        edges = np.linspace(0, n, stretches + 1).astype(np.int64)
        points: dict[str, list[float]] = {"unit": [], **{name: [] for name in HEADLINES}}
        for start, stop in pairwise(edges.tolist()):
            warm = self.known.warm[start:stop]
            if not warm.any():
                continue
            points["unit"].append(stop)
            for name in HEADLINES:
                points[name].append(float(scored.units[name][start:stop][warm].mean()))
        return points

    def paired(self, scored: Scored, *, against: Scored) -> dict[str, dict[str, float]]:
        """The mean difference on the same warm units, its interval and p, for each headline metric."""
        chosen = self.known.counted & self.known.warm
        found = {}
        for name in HEADLINES:
            estimate = block_bootstrap(
                scored.units[name][chosen] - against.units[name][chosen], config=self.bootstrap
            )
            base = float(against.units[name][chosen].mean()) if chosen.any() else math.nan
            found[name] = {
                "difference": estimate.mean,
                "low": estimate.low,
                "high": estimate.high,
                "p": estimate.p,
                "relative": estimate.mean / base if base else math.nan,
            }
        return found

    def _plain(self, metrics: dict[str, F64], chosen: NDArray[np.bool_]) -> dict[str, Any]:
        means = {
            name: float(values[chosen].mean()) if chosen.any() else math.nan
            for name, values in metrics.items()
        }
        return {"units": int(chosen.sum()), **means}

    def _group(self, metrics: dict[str, F64], chosen: NDArray[np.bool_]) -> dict[str, Any]:
        intervals = {}
        for name in HEADLINES:
            estimate = block_bootstrap(metrics[name][chosen], config=self.bootstrap)
            intervals[name] = [estimate.low, estimate.high]
        return {**self._plain(metrics, chosen), "interval": intervals}


def memory_at(memory_mb: NDArray[np.float32]) -> dict[str, float]:
    """What was resident at each quarter of the stream, of (m,) figures at even distances, m >= 1: flat or not.

    >>> memory_at(np.arange(41, dtype=np.float32))
    {'25 %': 10.0, '50 %': 20.0, '75 %': 30.0, '100 %': 40.0}
    """
    last = len(memory_mb) - 1
    return {f"{25 * q} %": round(float(memory_mb[round(last * q / 4)]), 1) for q in (1, 2, 3, 4)}


def _percentiles(microseconds: NDArray[np.float32]) -> dict[str, float]:
    p50, p99 = np.percentile(microseconds, [50, 99]) / 1e3
    return {"p50": float(p50), "p99": float(p99), "mean": float(microseconds.mean() / 1e3)}
