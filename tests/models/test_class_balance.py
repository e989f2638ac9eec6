import numpy as np
import pytest

from models.class_balance import ClassBalance
from models.errors import ConfigError, InputError

GAINS = np.array([[1.0, 0.0, 1.0]], np.float32)
HASHES = np.array([[11, 12, 13]], np.int64)


def test_rare_items_weigh_more_and_the_mean_weight_is_one() -> None:
    balance = ClassBalance(0.99)
    for _ in range(50):
        balance.weigh(np.array([[1.0, 0.0, 0.0]], np.float32), hashes=HASHES)
    weighed = balance.weigh(GAINS, hashes=HASHES)
    effective = (1 - 0.99**51) / (1 - 0.99)  # against 1 of the item seen once
    assert weighed[0, 2] / weighed[0, 0] == pytest.approx(effective, rel=1e-5)
    assert weighed[GAINS > 0].mean() == pytest.approx(1.0)
    assert weighed[0, 1] == 0.0


def test_inputs_are_not_changed_and_no_positives_weigh_nothing() -> None:
    gains = GAINS.copy()
    ClassBalance(0.9).weigh(gains, hashes=HASHES)
    assert np.array_equal(gains, GAINS)
    assert not ClassBalance(0.9).weigh(np.zeros_like(GAINS), hashes=HASHES).any()


def test_a_snapshot_carries_the_counts_and_stays_the_same_size() -> None:
    one, two = ClassBalance(0.99), ClassBalance(0.99)
    size = one.snapshot()["counts"].nbytes
    rng = np.random.default_rng(0)
    for _ in range(20):
        one.weigh(np.ones((8, 3), np.float32), hashes=rng.integers(0, 2**62, (8, 3)))
    two.restore(one.snapshot())
    assert np.array_equal(one.weigh(GAINS, hashes=HASHES), two.weigh(GAINS, hashes=HASHES))
    assert one.snapshot()["counts"].nbytes == size
    with pytest.raises(InputError):
        two.restore({"counts": np.zeros(3, np.int64)})


@pytest.mark.parametrize("beta", [0.0, 1.0, -0.1])
def test_beta_outside_its_range_is_refused(beta: float) -> None:
    with pytest.raises(ConfigError, match="beta"):
        ClassBalance(beta)
