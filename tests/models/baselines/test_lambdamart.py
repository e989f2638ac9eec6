import importlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.baselines.lambdamart import LambdaMart, LambdaMartConfig
from models.errors import ConfigError, InputError, ModelLoadError

SMALL = LambdaMartConfig(leaves=7, rounds=20, units=200)


def _slates(
    units: int, *, planted: bool, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_]]:
    """Slates of up to 10 candidates with 3 features, padded to 12; the positive has the largest second feature
    among those whose first is above 0, or is any."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(units, 12, 3)).astype(np.float32)
    valid = np.arange(12) < rng.integers(5, 11, units)[:, None]
    worth = np.where(features[:, :, 0] > 0, features[:, :, 1] + 10.0, features[:, :, 1])
    best = np.where(valid, worth if planted else rng.random(valid.shape), -np.inf).argmax(1)
    gains = np.zeros(valid.shape, np.float32)
    gains[np.arange(units), best] = 1.0
    return features, gains, valid


def _first(trees: LambdaMart, *, planted: bool) -> float:
    """The share of fresh slates whose positive is ranked first."""
    features, gains, valid = _slates(300, planted=planted, seed=9)
    return float((trees.score(features, valid=valid).argmax(1) == gains.argmax(1)).mean())


def test_learns_a_planted_rule_and_nothing_from_noise() -> None:
    shares = []
    for planted in (True, False):
        trees = LambdaMart(SMALL, seed=1)
        features, gains, valid = _slates(200, planted=planted, seed=1)
        trees.add(features, gains=gains, valid=valid)
        trees.fit()
        shares.append(_first(trees, planted=planted))
    assert shares[0] > 0.75
    assert shares[1] < 0.25  # one of 7.5 by chance


def test_same_units_and_seed_same_scores_whatever_the_batches_and_threads() -> None:
    features, gains, valid = _slates(80, planted=True, seed=2)
    scores = []
    for cuts, threads in (((80,), 1), ((10, 50, 80), 2)):
        trees = LambdaMart(replace(SMALL, threads=threads), seed=3)
        start = 0
        for end in cuts:
            trees.add(features[start:end], gains=gains[start:end], valid=valid[start:end])
            start = end
        trees.fit()
        scores.append(trees.score(features, valid=valid))
    assert np.array_equal(*scores)
    assert (scores[0][~valid] == -np.inf).all()
    assert np.isfinite(scores[0][valid]).all()


def test_units_without_a_positive_teach_nothing_and_old_ones_are_forgotten() -> None:
    trees = LambdaMart(LambdaMartConfig(units=30, rounds=2), seed=0)
    features, gains, valid = _slates(50, planted=True, seed=4)
    trees.add(features, gains=np.zeros_like(gains), valid=valid)
    trees.fit()
    assert (len(trees), trees.fitted) == (0, False)
    with pytest.raises(InputError, match="fit first"):
        trees.score(features, valid=valid)
    for _ in range(10):
        trees.add(features, gains=gains, valid=valid)
    assert len(trees) == 30
    with pytest.raises(InputError, match="differ"):
        trees.add(features, gains=gains[:, :3], valid=valid)


def test_a_missing_lightgbm_is_said_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str, *rest: Any) -> Any:
        raise ImportError(name, *rest)

    monkeypatch.setattr(importlib, "import_module", refuse)
    with pytest.raises(ModelLoadError, match=r"headwater\[bench\]"):
        LambdaMart(SMALL, seed=0)


@pytest.mark.parametrize("wrong", [{"leaves": 1}, {"rounds": 0}, {"units": 0}, {"learning_rate": 0.0}])
def test_settings_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        LambdaMartConfig(**wrong)
