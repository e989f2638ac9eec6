import numpy as np
import pytest

from load.prequential.baselines.popularity import HELD, MostPopular, Popularity
from tests.load.prequential.baselines.made import (
    START_MS,
    answers,
    random_baskets,
    same_order_by_score,
    stream,
)


@pytest.mark.parametrize("half_life_ms", [float("inf"), 5 * 3_600_000.0])
def test_list_equals_a_sort_of_decayed_counts(half_life_ms: float) -> None:
    info, units = random_baskets(n=300)
    said = answers(MostPopular(info, name="x", half_life_ms=half_life_ms), units)
    for at in range(1, len(units)):
        scores: dict[int, float] = {}
        for unit in units[:at]:
            weight = 2.0 ** (-(units[at].at_ms - unit.at_ms) / half_life_ms)
            for item in unit.items.tolist():
                scores[item] = scores.get(item, 0.0) + weight
        assert same_order_by_score(said[at], scores)


def test_list_is_exact_with_more_items_than_are_held() -> None:
    rng = np.random.default_rng(0)
    info, _ = stream([(0, 0, [4 * HELD])], protocol="basket")
    popular = Popularity(info)
    for draw in rng.zipf(1.3, size=5000):
        popular.add(np.array([draw % (4 * HELD)]), at_ms=START_MS)
    best = popular.top(HELD)
    assert np.array_equal(popular.totals[best], np.sort(popular.totals)[::-1][:HELD])


def test_totals_stay_finite_and_shares_right_over_a_thousand_half_lives() -> None:
    info, _ = stream([(0, 0, [3])], protocol="basket")
    popular = Popularity(info, half_life_ms=1000.0)
    for second in range(2000):
        popular.add(np.array([1 if second % 2 else 2]), at_ms=START_MS + 1000 * second)
    assert np.isfinite(popular.totals).all()
    assert popular.top(2).tolist() == [1, 2]
    assert popular.totals[1] / popular.units == pytest.approx(2 / 3)


def test_a_gap_longer_than_any_memory_leaves_the_new() -> None:
    info, _ = stream([(0, 0, [3])], protocol="basket")
    popular = Popularity(info, half_life_ms=1.0)
    for _ in range(50):
        popular.add(np.array([1]), at_ms=START_MS)
    popular.add(np.array([2]), at_ms=START_MS + 10**9)
    assert popular.top(1).tolist() == [2]
    assert np.isfinite(popular.units)


def test_half_life_must_be_above_zero() -> None:
    info, _ = stream([(0, 0, [3])], protocol="basket")
    with pytest.raises(ValueError, match="half_life_ms is 0"):
        Popularity(info, half_life_ms=0)
