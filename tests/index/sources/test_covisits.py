"""What Space-Saving guarantees of an item's slots."""

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from index.sources.covisits import CoVisits, credit
from tests.index.sources.random_logs import SMALL

CREDITS = st.lists(st.tuples(st.integers(1, 8), st.sampled_from([0.5, 1.0, 2.0, 8.0])), max_size=80)


@settings(max_examples=120, deadline=None)
@given(credits=CREDITS)
def test_the_true_weight_lies_between_the_count_and_the_count_with_its_excess(
    credits: list[tuple[int, float]],
) -> None:
    pairs, truth = CoVisits(SMALL), Counter[int]()
    for partner, weight in credits:
        credit(pairs.partners, pairs.counts, pairs.excess, 1, partner, weight)
        truth[partner] += weight  # type: ignore[assignment]
    held = {int(p): at for at, p in enumerate(pairs.partners[1]) if p}
    upper = pairs.counts[1] + pairs.excess[1]
    assert sum(upper) == sum(truth.values())
    for partner, at in held.items():
        assert pairs.counts[1, at] <= truth[partner] <= upper[at]
    for partner in set(truth) - set(held):
        assert truth[partner] <= min(upper)


def test_an_evicted_partners_slot_is_filled_before_a_heavier_one() -> None:
    pairs = CoVisits(SMALL)
    for partner, weight in ((2, 1.0), (3, 5.0), (4, 9.0)):
        credit(pairs.partners, pairs.counts, pairs.excess, 1, partner, weight)
    pairs.evict(np.array([3], np.int32))
    credit(pairs.partners, pairs.counts, pairs.excess, 1, 5, 0.5)
    assert pairs.partners[1].tolist() == [2, 5, 4]
    assert pairs.counts[1].tolist() == [1.0, 0.5, 9.0]


def test_a_heavy_partner_survives_a_stream_of_light_ones() -> None:
    pairs, limits = CoVisits(SMALL), SMALL
    for _ in range(40):
        credit(pairs.partners, pairs.counts, pairs.excess, 1, 7, 3.0)
    for at in range(60):
        credit(pairs.partners, pairs.counts, pairs.excess, 1, 2 + at % 4, 1.0)
    assert 7 in pairs.partners[1]
    assert pairs.partners.shape == (limits.items, limits.neighbours)
