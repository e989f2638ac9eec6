import numpy as np
import pytest

from load.errors import BadLoadConfig
from load.prequential.baselines import FACTORIES
from load.prequential.baselines.factorisation import Als, FactorisationConfig, Factorised, need
from load.prequential.contender import StreamInfo, Unit
from tests.load.prequential.baselines.made import answers, hit_rate, random_baskets, stream


def _tastes(n: int, *, noise: bool) -> tuple[StreamInfo, list[Unit]]:
    """Baskets of three out of ten items of one of five kinds; a user keeps a kind, unless it is noise."""
    rng = np.random.default_rng(4)
    rows = []
    for _ in range(n):
        user = int(rng.integers(60))
        kind = int(rng.integers(5)) if noise else user % 5
        rows.append((user, user, (kind * 10 + rng.choice(10, size=3, replace=False)).tolist()))
    return stream(rows, protocol="basket")


@pytest.mark.parametrize("name", ["als", "bpr"])
def test_learns_tastes_and_nothing_from_noise(name: str) -> None:
    info, units = _tastes(800, noise=False)
    assert hit_rate(answers(FACTORIES[name](info, 0), units, k=10), units, after=500) > 0.8
    info, units = _tastes(800, noise=True)
    assert hit_rate(answers(FACTORIES[name](info, 0), units, k=10), units, after=500) < 0.35


def test_refits_as_often_as_the_schedule_says_and_not_before() -> None:
    info, units = random_baskets(n=100)
    config = FactorisationConfig(factors=4, refits=5)
    contender = Factorised(info, name="als", model=Als(info, config=config, seed=0), config=config)
    fits = []
    for unit in units:
        contender.learn(unit)
        fits.append(contender.refits)
    assert fits == [(at + 1) // 20 for at in range(100)]


def test_a_missing_package_is_told_by_name() -> None:
    with pytest.raises(BadLoadConfig, match="needs the package no_such_thing"):
        need("no_such_thing.als")


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="factors is 0"):
        FactorisationConfig(factors=0)
