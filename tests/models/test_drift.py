import numpy as np
import pytest
from numpy.typing import NDArray

from models.drift import Drift, DriftConfig
from models.errors import ConfigError, InputError

CONFIG = DriftConfig(grace_units=200, half_life_units=100)


def losses(seed: int, *, miss: float, n: int = 2_000) -> NDArray[np.float64]:
    return (np.random.default_rng(seed).random(n) < miss).astype(np.float64)


def test_a_rise_of_the_loss_is_answered_and_the_answer_relaxes() -> None:
    drift = Drift(CONFIG)
    assert not drift.observe(losses(1, miss=0.3))
    assert (drift.learning, drift.exploration) == (1.0, 1.0)
    assert drift.observe(losses(2, miss=0.7, n=200))
    assert 1.5 < drift.learning <= 3
    assert 5 < drift.exploration <= 20
    drift.observe(losses(3, miss=0.7, n=500))
    assert (drift.learning, drift.exploration, drift.detections) == (1.0, 1.0, 1)


def test_a_fall_of_the_loss_is_no_alarm() -> None:
    drift = Drift(CONFIG)
    drift.observe(losses(1, miss=0.7))
    drift.observe(losses(2, miss=0.2))
    assert drift.detections == 0


def test_slates_that_nobody_answers_any_more_are_found_where_units_look_the_same() -> None:
    drift = Drift(CONFIG)
    rng = np.random.default_rng(1)
    first = None
    for number in range(2_000):
        drift.shown()
        if rng.random() < (0.7 if number < 1_000 else 0.3):
            drift.answered()
        drift.observe(np.array([float(rng.random() < 0.5)]))
        if drift.detections and first is None:
            first = number
    assert first is not None
    assert 1_000 < first < 1_200
    assert drift.detections == 1


def test_steady_losses_raise_hardly_any_alarm() -> None:
    alarms = 0
    for seed in range(20):
        drift = Drift(CONFIG)
        drift.observe(losses(seed, miss=0.5, n=5_000))
        alarms += drift.detections
    assert alarms <= 1


def test_the_learners_youth_is_no_drift() -> None:
    drift = Drift(DriftConfig(grace_units=1_000))
    drift.observe(losses(1, miss=0.2, n=500))
    drift.observe(losses(2, miss=0.8, n=400))
    assert drift.detections == 0


def test_the_latest_items_alone_count_while_it_responds_unless_all_of_them_do_better() -> None:
    drift = Drift(CONFIG)
    drift.observe(losses(1, miss=0.3))
    assert drift.remembered is None
    assert drift.observe(losses(2, miss=0.8, n=60))
    assert 4 <= (drift.remembered or 0) <= 8
    drift.memory.observe(latest=np.zeros(8), whole=np.ones(8))
    assert drift.remembered is None
    drift.observe(losses(3, miss=0.8, n=500))
    assert drift.remembered is None


def test_exploration_ends_where_histories_count_as_before_and_starts_with_the_next_detection() -> None:
    drift = Drift(CONFIG)
    drift.observe(losses(1, miss=0.3))
    assert drift.observe(losses(2, miss=0.8, n=60))
    assert drift.exploration > 10
    drift.memory.observe(latest=np.zeros(8), whole=np.ones(8))
    assert drift.exploration == 1.0
    assert drift.learning > 2
    drift.observe(losses(3, miss=0.3, n=2_000))
    assert drift.observe(losses(4, miss=0.9, n=60))
    assert drift.exploration > 10


def test_a_restored_one_goes_on_exactly() -> None:
    one, two = Drift(CONFIG), Drift(CONFIG)
    one.observe(losses(1, miss=0.3))
    one.shown()
    one.answered()
    one.observe(losses(2, miss=0.8, n=130))
    one.memory.observe(latest=np.zeros(8), whole=np.ones(8))
    two.restore(one.snapshot())
    assert one.learning == two.learning > 1
    assert one.exploration == two.exploration == 1.0
    assert one.remembered is two.remembered is None
    for drift in (one, two):
        drift.shown()
        drift.observe(losses(3, miss=0.8))
    for name, array in one.snapshot().items():
        np.testing.assert_array_equal(array, two.snapshot()[name])


@pytest.mark.parametrize(
    "change", [{"learning": 0.5}, {"exploration": 0.0}, {"half_life_units": 0.0}, {"least_rise": -1.0}]
)
def test_wrong_settings_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(change))):
        DriftConfig(**change)


def test_a_foreign_snapshot_is_refused() -> None:
    with pytest.raises(InputError, match="missing"):
        Drift(CONFIG).restore({})
