import numpy as np
import pytest
from numpy.typing import NDArray

from models.errors import ConfigError, InputError
from models.memory_trial import MemoryTrial, MemoryTrialConfig


def results(rng: np.random.Generator, *, found: float, n: int = 1) -> NDArray[np.float64]:
    return (rng.random(n) < found).astype(np.float64)


@pytest.mark.parametrize("seed", range(5))
def test_latest_items_that_fail_are_given_up_soon(seed: int) -> None:
    trial, rng = MemoryTrial(MemoryTrialConfig()), np.random.default_rng(seed)
    units = 0
    while trial.latest_serve:
        trial.observe(latest=results(rng, found=0.1), whole=results(rng, found=0.5))
        units += 1
    assert 3 <= units < 40


def test_latest_items_that_do_better_go_on_serving() -> None:
    trial, rng = MemoryTrial(MemoryTrialConfig()), np.random.default_rng(3)
    served = 0
    for _ in range(500):
        trial.observe(latest=results(rng, found=0.3), whole=results(rng, found=0.15))
        served += trial.latest_serve
    assert served > 450


def test_what_has_failed_is_not_tried_again_before_the_next_drift() -> None:
    trial = MemoryTrial(MemoryTrialConfig())
    trial.observe(latest=np.zeros(50), whole=np.ones(50))
    assert not trial.latest_serve
    trial.observe(latest=np.ones(500), whole=np.zeros(500))
    assert not trial.latest_serve
    trial.begin()
    assert trial.latest_serve
    trial.observe(latest=np.zeros(50), whole=np.ones(50))
    assert not trial.latest_serve


def test_a_vain_trial_costs_the_margin_and_little_more() -> None:
    rng = np.random.default_rng(1)
    for found in (0.1, 0.2, 0.3):
        trial, lost = MemoryTrial(MemoryTrialConfig()), 0.0
        for _ in range(4_000):
            latest, whole = results(rng, found=found), results(rng, found=found + 0.1)
            lost += float(whole[0] - latest[0]) * trial.latest_serve
            trial.observe(latest=latest, whole=whole)
        assert 2.0 < lost <= 4.0  # had it not been given up: 400


def test_history_comes_back_as_exploration_relaxes() -> None:
    trial = MemoryTrial(MemoryTrialConfig(items=80))
    spans = [trial.span(exploration) for exploration in (40.0, 20.0, 10.0, 2.0, 1.0)]
    assert spans == [2, 4, 8, 40, None]
    assert trial.span(1e6) == 1
    assert MemoryTrial(MemoryTrialConfig(items=0)).span(20.0) is None


def test_a_restored_one_goes_on_exactly() -> None:
    one, two = MemoryTrial(MemoryTrialConfig()), MemoryTrial(MemoryTrialConfig())
    one.observe(latest=np.array([0.3, 0.0, 0.5]), whole=np.array([0.0, 1.0, 0.9]))
    two.restore(one.snapshot())
    for trial in (one, two):
        trial.observe(latest=np.array([0.1]), whole=np.array([0.2]))
    assert one.snapshot() == two.snapshot() != MemoryTrial(MemoryTrialConfig()).snapshot()


@pytest.mark.parametrize("change", [{"items": -1}, {"fade_units": 0.0}, {"margin": -0.1}])
def test_wrong_settings_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(change))):
        MemoryTrialConfig(**change)  # type: ignore[arg-type]


def test_results_that_do_not_pair_up_are_refused() -> None:
    with pytest.raises(InputError, match="pair up"):
        MemoryTrial(MemoryTrialConfig()).observe(latest=np.zeros(2), whole=np.zeros(3))


def test_a_foreign_snapshot_is_refused() -> None:
    with pytest.raises(InputError, match="missing"):
        MemoryTrial(MemoryTrialConfig()).restore({})
