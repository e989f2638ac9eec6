"""recommend(): the same for the same seeds, whole or degraded, and never padding."""

from dataclasses import fields, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from events.flatten import HashCache, to_columns
from events.types import AnyUserEvent
from serving.names import ItemNames
from serving.overload import Plan
from serving.recommender import Recommendations, RecommendConfig, Recommender
from serving.state import StateCodec, StateView
from tests.serving.learners import START_MS, basket, click, make_learning, random_events

FULL = Plan(deep_users=99, candidates_share=1.0)
CODEC = StateCodec()


def known(events: list[AnyUserEvent]) -> tuple[Recommender, StateView]:
    """A recommender that has seen the events, and the states that they left."""
    recommender = make_learning().recommender
    hashes = HashCache()
    columns = to_columns(events, hashes=hashes)
    states = CODEC.new(columns.user_hashes)
    CODEC.fold(states, columns=columns, positions=np.full((len(events), 3), -1, np.int64))
    recommender.sources.learn(columns.interactions, names=ItemNames(events, hashes=hashes))
    return recommender, CODEC.view(states, history=32)


def recommend(
    recommender: Recommender, states: StateView, *, seed: int = 0, plan: Plan = FULL, deep: bool = False
) -> Recommendations:
    users = len(states)
    return recommender.recommend(
        states,
        now_ms=np.full(users, START_MS + 10**6, np.int64),
        seeds=np.arange(seed, seed + users, dtype=np.uint64),
        plan=plan,
        deep=deep,
    )


def arrays(slates: Recommendations) -> dict[str, NDArray[np.generic]]:
    found = {field.name: getattr(slates, field.name) for field in fields(slates)}
    return {name: value for name, value in found.items() if isinstance(value, np.ndarray)}


@pytest.mark.parametrize("trained", [False, True])
def test_same_seeds_give_the_same_slates_and_others_do_not(trained: bool) -> None:
    recommender, states = known(random_events(300))
    recommender.trained = trained
    one, again = recommend(recommender, states), recommend(recommender, states)
    for name, array in arrays(one).items():
        assert np.array_equal(array, arrays(again)[name]), name
    assert not np.array_equal(one.items, recommend(recommender, states, seed=1000).items)


def test_user_gets_the_same_slate_alone_as_in_a_batch() -> None:
    recommender, states = known(random_events(300))
    recommender.trained = True
    whole = recommend(recommender, states)
    for user in range(3):
        alone = recommend(recommender, states.take(np.array([user])), seed=user)
        assert alone.items[0].tolist() == whole.items[user].tolist()
        assert alone.propensities[0] == pytest.approx(whole.propensities[user], rel=1e-4)


def test_times_taken_out_of_a_table_reach_the_kernels_in_the_layout_that_they_are_compiled_for() -> None:
    # Another layout is compiled at the first click that brings it: eight seconds for a shopper.
    recommender, states = known(random_events(300))
    table = np.full((len(states), 3), START_MS + 10**6, np.int64)
    kept = recommender.query(states, now_ms=table[:, 1]).now_ms
    assert not table[:, 1].flags.c_contiguous
    assert kept.flags.c_contiguous
    assert np.array_equal(kept, table[:, 1])


@pytest.mark.parametrize("share", [1.0, 0.5, 0.05])
def test_slates_hold_distinct_known_items_whatever_is_given_up(share: float) -> None:
    recommender, states = known(random_events(300))
    slates = recommend(recommender, states, plan=Plan(deep_users=0, candidates_share=share))
    k = recommender.config.slate.k
    assert slates.items.shape == (len(states), k)
    for row, items in enumerate(slates.items.tolist()):
        assert 0 not in items
        assert len(set(items)) == k
        assert (slates.propensities[row] > 0).all()
        assert (slates.propensities[row] <= 1).all()
        assert (slates.sources[row] != 0).all()


def test_share_of_the_candidates_keeps_the_first_ones_and_enough_for_a_slate() -> None:
    recommender, states = known(random_events(300))
    now_ms = np.full(len(states), START_MS + 10**6, np.int64)
    whole = recommender.rank(states, now_ms=now_ms)
    half = recommender.rank(states, now_ms=now_ms, share=0.5)
    width = whole.candidates.items.shape[1]
    assert half.candidates.items.tolist() == whole.candidates.items[:, : width // 2].tolist()
    assert half.batch.features.shape == (len(states), width // 2, whole.batch.features.shape[2])
    least = recommender.rank(states, now_ms=now_ms, share=0.001)
    assert least.candidates.items.shape[1] == recommender.config.slate.k


def test_few_items_leave_slots_empty_and_never_repeat() -> None:
    recommender, states = known([click("ann", "a", number=1), basket("bob", "a", "b", number=2)])
    slates = recommend(recommender, states)
    for row, items in enumerate(slates.items.tolist()):
        filled = [item for item in items if item]
        assert len(filled) == len(set(filled)) == 2
        assert items[2:] == [0] * (len(items) - 2)
        assert (slates.scores[row][2:] == 0).all()
        assert (slates.sources[row][2:] == 0).all()


def test_nothing_known_is_an_empty_slate() -> None:
    recommender, states = known([click("ann", "a", number=1)])
    recommender = make_learning().recommender
    assert (recommend(recommender, states).items == 0).all()


def test_untrained_candidates_keep_the_order_in_which_sources_agree() -> None:
    recommender, states = known(random_events(300))
    now_ms = np.full(len(states), START_MS + 10**6, np.int64)
    candidates = recommender.rank(states, now_ms=now_ms).candidates.items
    slates = recommend(recommender, states)
    for row in range(len(states)):
        places = {item: at for at, item in enumerate(candidates[row].tolist()) if item}
        for item, score in zip(slates.items[row].tolist(), slates.scores[row].tolist(), strict=True):
            assert score == -np.log1p(np.float32(places[item]))


def test_stages_are_timed() -> None:
    recommender, states = known(random_events(50))
    seen: list[str] = []
    recommender._timer = lambda stage, ms: seen.append(stage) if ms >= 0 else None
    recommend(recommender, states)
    assert seen == ["query", "sources", "features", "wide", "slate"]


def test_latest_items_that_alone_count_are_ranked_by_as_if_the_rest_had_never_been_touched() -> None:
    recommender, states = known(random_events(300))
    now_ms = np.full(len(states), START_MS + 10**6, np.int64)
    whole = recommender.rank(states, now_ms=now_ms)
    assert not whole.query.left_aside.any()
    recommender.remembered = 4
    short = recommender.rank(states, now_ms=now_ms)
    assert np.array_equal(short.query.history[:, :4], whole.query.history[:, :4])
    assert not short.query.history[:, 4:].any()
    assert np.array_equal(short.query.whole_history, whole.query.history)
    of_few = replace(states, history=np.where(np.arange(states.history.shape[1]) < 4, states.history, 0))
    recommender.remembered = None
    assert np.array_equal(recommender.rank(of_few, now_ms=now_ms).batch.features, short.batch.features)


def test_config_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="deep_history is 0"):
        RecommendConfig(deep_history=0)
