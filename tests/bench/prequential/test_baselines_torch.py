"""What holds for the learned baselines, as for the others."""

import numpy as np
import pytest

from bench.prequential.baselines_torch import LEARNED, RollingConfig, RollingSasRec
from models.baselines.sasrec import SasRecConfig
from tests.load.prequential.baselines.made import (
    answers,
    hit_rate,
    random_baskets,
    random_sessions,
    stream,
)

STREAMS = {"session": random_sessions, "basket": random_baskets}
SMALL = SasRecConfig(width=16, length=10, dropout=0.1, learning_rate=1e-2, batch=32, negatives=32)


@pytest.mark.parametrize("protocol", STREAMS)
@pytest.mark.parametrize("name", LEARNED)
def test_answers_are_distinct_learned_and_at_most_k(name: str, protocol: str) -> None:
    info, units = STREAMS[protocol](n=80)
    learned: set[int] = set()
    contender = LEARNED[name](info, 0)
    if name == "sasrec":
        contender = RollingSasRec(info, seed=0, network=SMALL, rolling=RollingConfig(refits=4, steps=4))
    assert contender.name == name
    for unit, best in zip(units, answers(contender, units, k=6), strict=True):
        assert len(set(best.tolist())) == len(best) <= 6
        assert set(best.tolist()) <= learned
        learned |= set(unit.items.tolist())


def test_sasrec_learns_a_chain_on_its_schedule() -> None:
    rng = np.random.default_rng(1)
    rows = []
    for session in range(120):
        start = int(rng.integers(40))
        rows += [(session, session, [(start + place) % 40]) for place in range(5)]
    info, units = stream(rows, protocol="session")
    rolling = RollingConfig(refits=10, steps=40)
    contender = RollingSasRec(info, seed=0, network=SMALL, rolling=rolling)
    said = answers(contender, units, k=3)
    inside = [at for at in range(400, 600) if at % 5]
    assert len(contender.losses) == 10
    assert hit_rate([said[at] for at in inside], [units[at] for at in inside], after=0) > 0.9


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="window is 0"):
        RollingConfig(window=0)
    with pytest.raises(ValueError, match="refits 0"):
        RollingConfig(refits=0)
