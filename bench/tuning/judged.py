"""One set of settings over a piece of a stream, test then train, with its score told as it goes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bench.prequential.headwater import Headwater, benchmark_settings
from bench.prequential.variants import Variant
from load.prequential.contender import Contender, Query, Repeat, Unit
from load.prequential.prepared import Prepared
from load.prequential.running import K, run_contender
from load.prequential.scoring import target_ranks, unit_metrics
from load.prequential.units import ProtocolConfig, known_before
from streams.publisher import Record
from streams.settings import Settings

CHECKPOINTS = 10

Report = Callable[[int, float], None]
"""Is told the number of a checkpoint, 1 to CHECKPOINTS, and the mean up to it; raises to end the run."""


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """The first units of a stream: all that tuning may see. `metric` is one of warm units, like "ndcg@20"."""

    prepared: Prepared
    protocol: ProtocolConfig
    vectors: Sequence[tuple[int, Record]]
    metric: str

    def counted(self) -> NDArray[np.bool_]:
        """(n,) whether a unit counts: after the burn-in, and its session (for baskets and events, user) seen."""
        info, units = self.prepared.info, self.prepared.units
        known = known_before(units, config=self.protocol, n_items=info.n_items, first_ts=info.item_first_ts)
        return known.counted & known.warm


def first_share(prepared: Prepared, *, share: float) -> Prepared:
    """The first `share` of the units, at least 2; the rest is out of reach of any contender."""
    n = max(2, int(len(prepared.units) * share))
    units = prepared.units.first(n)
    return replace(prepared, units=units, info=replace(prepared.info, n_units=len(units)))


class Judged:
    """Contender: another one, whose answers are scored at the checkpoints."""

    def __init__(
        self, contender: Contender, *, piece: Piece, counted: NDArray[np.bool_], report: Report
    ) -> None:
        self.name = contender.name
        self._contender = contender
        self._piece = piece
        self._counted = counted
        self._report = report
        n = len(counted)
        self._lists = np.full((n, K), -1, np.int32)
        self._checkpoints = {n * step // CHECKPOINTS: step for step in range(1, CHECKPOINTS + 1)}

    def recommend(self, query: Query, /, *, k: int) -> NDArray[np.int64]:
        """See Contender."""
        answer = self._contender.recommend(query, k=k)
        self._lists[query.index, : len(answer)] = answer
        return answer

    def learn(self, unit: Unit, /) -> None:
        """See Contender; tells the score when a checkpoint is reached."""
        self._contender.learn(unit)
        n = unit.index + 1
        if (step := self._checkpoints.get(n)) is not None and self._counted[:n].any():
            self._report(step, self._mean(n))

    def see(self, repeat: Repeat, /) -> None:
        """See Contender."""
        self._contender.see(repeat)

    def _mean(self, n: int) -> float:
        units, metric = self._piece.prepared.units.first(n), self._piece.metric
        ranks = target_ranks(self._lists[:n], units=units, n_items=self._piece.prepared.info.n_items)
        each = unit_metrics(ranks, units=units, cuts=(int(metric.partition("@")[2]),))[metric]
        return float(each[self._counted[:n]].mean())


@dataclass(frozen=True, slots=True)
class Outcome:
    """The score of a run that came to its end, and its units a second of CPU time."""

    score: float
    units_per_cpu_s: float


def judge(
    settings: Settings,
    *,
    variant: Variant,
    seed: int,
    piece: Piece,
    report: Report,
    seen: Callable[[int], None] = lambda _units: None,
) -> Outcome:
    """The outcome of these settings over the piece; the same settings and seed give the same score."""
    prepared = piece.prepared
    last = [0.0]

    def told(step: int, score: float) -> None:
        last[0] = score
        report(step, score)

    def make() -> Contender:
        headwater = Headwater(
            prepared.info,
            name="headwater",
            variant=variant,
            settings=benchmark_settings(settings, variant=variant, seed=seed),
            vectors=piece.vectors,
        )
        return Judged(headwater, piece=piece, counted=piece.counted(), report=told)

    run = run_contender(make, units=prepared.units, info=prepared.info, seen=seen)
    return Outcome(last[0], len(run.lists) / max(run.cpu_s, 1e-9))
