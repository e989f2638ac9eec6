import numpy as np
import pytest
from numpy.typing import NDArray
from river.drift import ADWIN

from models.adwin import Adwin, AdwinConfig
from models.errors import ConfigError, InputError


def stream(seed: int, *, rise: float, n: int = 3_000) -> NDArray[np.float64]:
    """Values in 0..1 whose mean rises by about half of `rise` in the middle."""
    rng = np.random.default_rng(seed)
    level = np.where(np.arange(n) < n // 2, 0.3, 0.3 + rise)
    return (rng.random(n) < level) * rng.random(n)


@pytest.mark.parametrize(("seed", "rise"), [(0, 0.0), (1, 0.15), (2, 0.25), (3, 0.4), (4, -0.2), (5, 0.6)])
def test_it_is_rivers_up_to_the_first_change(seed: int, rise: float) -> None:
    ours, rivers = Adwin(AdwinConfig()), ADWIN()
    found = 0
    for value in stream(seed, rise=rise).tolist():
        change = ours.update(value)
        rivers.update(value)
        assert bool(change) == rivers.drift_detected
        assert ours.width == rivers.width
        assert ours.mean == pytest.approx(rivers.estimation)
        if change:  # river starts anew after a change; the paper, and ours, keep what came after it
            assert np.sign(change) == np.sign(rise)
            found += 1
            break
    assert found == (rise != 0)


def test_it_keeps_on_cutting_until_the_old_mean_is_gone() -> None:
    adwin = Adwin(AdwinConfig())
    for value in [0.0] * 1_000 + [1.0] * 1_000:
        adwin.update(value)
    assert adwin.mean > 0.95
    assert adwin.width < 1_100


def test_a_restored_one_goes_on_exactly() -> None:
    values = stream(7, rise=0.3).tolist()
    one, two = Adwin(AdwinConfig()), Adwin(AdwinConfig())
    for value in values[:1_411]:
        one.update(value)
    two.restore(one.snapshot())
    assert [one.update(value) for value in values[1_411:]] == [two.update(value) for value in values[1_411:]]
    for name, array in one.snapshot().items():
        np.testing.assert_array_equal(array, two.snapshot()[name])


def test_memory_does_not_grow_with_the_stream() -> None:
    adwin = Adwin(AdwinConfig(check_every=1_000_000))
    for _ in range(50_000):
        adwin.update(0.5)
    held = int((adwin.snapshot()["buckets"][0] > 0).sum())
    assert adwin.width == 50_000
    assert held < 100


def test_values_and_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(InputError, match="nan"):
        Adwin(AdwinConfig()).update(float("nan"))
    with pytest.raises(ConfigError, match="delta"):
        AdwinConfig(delta=0)
    other = Adwin(AdwinConfig()).snapshot() | {"buckets": np.zeros((3, 4))}
    with pytest.raises(InputError, match="buckets"):
        Adwin(AdwinConfig()).restore(other)
