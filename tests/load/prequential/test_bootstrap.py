"""Intervals over time: as wide as the truth asks for, on data whose spread is known."""

import math

import numpy as np
import pytest

from load.prequential.bootstrap import BootstrapConfig, block_bootstrap

CONFIG = BootstrapConfig()


def test_the_interval_of_independent_values_is_the_normal_one() -> None:
    values = np.random.default_rng(2).normal(0.3, 1.0, size=20_000)
    found = block_bootstrap(values, config=CONFIG)
    half = 1.96 / math.sqrt(len(values))
    assert found.mean == pytest.approx(values.mean())
    assert (found.high - found.low) / 2 == pytest.approx(half, rel=0.25)
    assert found.p < 0.01


def test_values_that_drift_together_widen_it() -> None:
    rng = np.random.default_rng(2)
    alone = rng.normal(size=10_000)
    together = np.repeat(rng.normal(size=100), 100)
    narrow, wide = (block_bootstrap(values, config=CONFIG) for values in (alone, together))
    assert wide.high - wide.low > 5 * (narrow.high - narrow.low)


def test_noise_is_no_difference_and_seldom_looks_like_one() -> None:
    rng = np.random.default_rng(3)
    small = [block_bootstrap(rng.normal(size=2_000), config=CONFIG).p < 0.05 for _ in range(200)]
    assert np.mean(small) < 0.11


def test_few_values_and_none_are_taken_as_they_come() -> None:
    assert block_bootstrap(np.array([0.5, 0.5, 0.5]), config=CONFIG).low == 0.5
    assert math.isnan(block_bootstrap(np.zeros(0), config=CONFIG).mean)
    assert block_bootstrap(np.zeros(50), config=CONFIG).p == 1.0


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="blocks 1"):
        BootstrapConfig(blocks=1)
