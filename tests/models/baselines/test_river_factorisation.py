import numpy as np
import pytest

from models.baselines.river_factorisation import RiverFactorisation, RiverFactorisationConfig


def _share_of_own_kind(*, noise: bool) -> float:
    """Users of two kinds take items of their kind, ten each; the share of these in the user's first ten."""
    rng = np.random.default_rng(0)
    model = RiverFactorisation(config=RiverFactorisationConfig(), seed=0)
    for _ in range(4000):
        user = int(rng.integers(20))
        kind = int(rng.integers(2)) if noise else user % 2
        model.learn(user, items=np.array([kind * 10 + int(rng.integers(10))]))
    items = rng.permutation(20)
    own = [model.rank(user, candidates=items)[:10] // 10 == user % 2 for user in range(20)]
    return float(np.mean(own))


def test_learns_two_tastes_and_nothing_from_noise() -> None:
    assert _share_of_own_kind(noise=False) > 0.9
    assert 0.4 < _share_of_own_kind(noise=True) < 0.6


def test_same_seed_ranks_the_same() -> None:
    ranks = []
    for _ in range(2):
        model = RiverFactorisation(config=RiverFactorisationConfig(), seed=3)
        for at in range(200):
            model.learn(at % 7, items=np.array([at % 11, (at * 3) % 11 + 11]))
        ranks.append(model.rank(2, candidates=np.arange(22)))
    assert np.array_equal(ranks[0], ranks[1])
    assert sorted(ranks[0].tolist()) == list(range(22))


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="factors is 0"):
        RiverFactorisationConfig(factors=0)
    with pytest.raises(ValueError, match="l2 is -1"):
        RiverFactorisationConfig(l2=-1)
