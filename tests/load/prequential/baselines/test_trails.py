import numpy as np

from load.prequential.baselines.ranking import best_of, filled
from load.prequential.baselines.trails import NONE, Trails


def test_latest_gives_distinct_items_from_the_end() -> None:
    trails = Trails(events=10, groups=2, items=9)
    for group, taken in ((0, [1, 2]), (1, [3]), (0, [4, 1]), (1, [5])):
        trails.append(group, items=np.array(taken), at_ms=7)
    items, steps = trails.latest(0, most=10)
    assert items.tolist() == [1, 4, 2]
    assert steps.tolist() == [1, 1, 0]
    assert trails.latest(0, most=2)[0].tolist() == [1, 4]
    assert trails.distinct.tolist() == [3, 2]
    assert trails.steps.tolist() == [2, 2]
    assert trails.times[1] == 2


def test_links_lead_through_groups_and_items() -> None:
    trails = Trails(events=10, groups=2, items=4)
    for group, item in ((0, 1), (1, 1), (0, 2), (1, 3), (0, 1)):
        trails.append(group, items=np.array([item]), at_ms=7)
    assert trails.after[:5].tolist() == [2, 3, 4, NONE, NONE]
    assert trails.before[:5].tolist() == [NONE, NONE, 0, 1, 2]
    assert trails.earlier[:5].tolist() == [NONE, 0, NONE, NONE, 1]
    assert trails.last_of_item.tolist() == [NONE, 4, 2, 3]


def test_best_of_equals_a_stable_sort_and_clears() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        touched = rng.permutation(30)[:20].astype(np.int32)
        totals = np.zeros(30)
        totals[touched] = rng.integers(0, 6, 20)
        kept = touched[totals[touched] > 0]
        right = kept[np.argsort(-totals[kept], kind="stable")][:8]
        assert np.array_equal(best_of(totals, touched, 20, 8), right)
        assert not totals.any()


def test_filled_keeps_the_order_and_leaves_out_what_it_must() -> None:
    picked, more = np.array([4, 2]), np.array([2, 9, 4, 1, 3])
    assert filled(picked, fill=more, k=4).tolist() == [4, 2, 9, 1]
    assert filled(picked, fill=more, k=4, without=9).tolist() == [4, 2, 1, 3]
    assert filled(picked, fill=more, k=1).tolist() == [4]
    assert filled(picked, fill=more, k=3, without=4).tolist() == [2, 9, 1]
