"""A small shop for the product as a contender, and what is asked of it."""

import numpy as np
from numpy.typing import NDArray

from bench.prequential.headwater import Headwater, benchmark_settings
from bench.prequential.variants import variant_of
from load.prequential.contender import Query, StreamInfo, Unit
from load.prequential.prepared import Prepared
from load.prequential.running import Run
from load.prequential.scoring import target_ranks, unit_metrics
from streams.settings import Settings

UNITS = 300


def contender(
    info: StreamInfo, settings: Settings, *, name: str = "headwater-wide", seed: int = 7
) -> Headwater:
    variant = variant_of(name)
    return Headwater(
        info, name=name, variant=variant, settings=benchmark_settings(settings, variant=variant, seed=seed)
    )


def recall(run: Run, prepared: Prepared) -> NDArray[np.float64]:
    ranks = target_ranks(run.lists, units=prepared.units, n_items=prepared.info.n_items)
    return unit_metrics(ranks, units=prepared.units)["recall@5"]


def first_query(unit: Unit) -> Query:
    return Query(unit.index, unit.at_ms, unit.user, unit.session)
