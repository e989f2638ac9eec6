import numpy as np
import pytest

from models.errors import ConfigError
from models.gate import DeepGate, GateConfig


def feed(gate: DeepGate, *, gain: float, units: int, seed: int) -> list[bool]:
    """The verdict after each of `units` units whose difference is `gain` plus noise of deviation 0.2."""
    verdicts = []
    for noise in np.random.default_rng(seed).normal(0, 0.2, units):
        without = np.array([0.5], np.float32)
        gate.observe(without=without, with_deep=without + np.float32(gain + noise))
        verdicts.append(gate.pays())
    return verdicts


def test_closed_until_enough_units_were_seen() -> None:
    gate = DeepGate(GateConfig(window=400, min_units=100))
    assert not any(feed(gate, gain=0.3, units=99, seed=1))
    assert feed(gate, gain=0.3, units=1, seed=2) == [True]


def test_opens_on_a_real_gain_and_closes_when_it_turns_to_harm() -> None:
    gate = DeepGate(GateConfig(window=400, min_units=100))
    assert feed(gate, gain=0.08, units=600, seed=3)[-1]
    assert gate.mean_gain == pytest.approx(0.08, abs=0.03)
    assert not feed(gate, gain=-0.08, units=600, seed=4)[-1]
    assert gate.units == 400


def test_stays_closed_on_harm_and_on_no_difference() -> None:
    gate = DeepGate(GateConfig(window=400, min_units=100))
    assert not any(feed(gate, gain=-0.05, units=2_000, seed=5))
    same = np.full(500, 0.4, np.float32)
    gate.observe(without=same, with_deep=same)
    assert not gate.pays()


def test_does_not_flap_between_its_two_thresholds() -> None:
    gate = DeepGate(GateConfig(window=300, min_units=100))
    verdicts = feed(gate, gain=0.03, units=4_000, seed=6)
    changes = int(np.count_nonzero(np.diff(np.array(verdicts, np.int8))))
    assert verdicts[-1]
    assert changes <= 3


def test_snapshot_carries_the_verdict() -> None:
    gate = DeepGate(GateConfig(window=400, min_units=100))
    feed(gate, gain=0.1, units=300, seed=7)
    copy = DeepGate(gate.config)
    copy.restore(gate.snapshot())
    assert copy.pays()
    assert feed(copy, gain=-0.1, units=300, seed=8) == feed(gate, gain=-0.1, units=300, seed=8)


def test_thresholds_without_hysteresis_are_refused() -> None:
    with pytest.raises(ConfigError, match="hysteresis"):
        GateConfig(open_sigma=1.0, close_sigma=-1.0)
    with pytest.raises(ConfigError, match="min_units"):
        GateConfig(window=10, min_units=11)
