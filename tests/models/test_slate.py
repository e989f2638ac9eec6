"""Slates: drawn as their propensities say, plain top-k without bonuses, changed by bonuses where it costs least."""

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.errors import ConfigError, InputError
from models.slate import Bonus, SlateConfig, Slates, entropy_gains, make_slates

_PLAIN = SlateConfig(k=3, temperature=0.5)
_FIRM = SlateConfig(temperature=0.0)


def _slates(
    scores: NDArray[np.float32], *, config: SlateConfig, bonus: Bonus = Bonus(), **given_arrays: object
) -> Slates:
    b, c = scores.shape
    arrays: dict[str, object] = {
        "tail": np.zeros((b, c), np.bool_),
        "young": np.zeros((b, c), np.bool_),
        "groups": np.zeros((b, c), np.int32),
        "bonuses": np.tile(np.array([bonus.tail, bonus.variety, bonus.young], np.float32), (b, 1)),
        "seeds": np.arange(b, dtype=np.uint64),
    }
    return make_slates(scores, **(arrays | given_arrays), config=config)  # type: ignore[arg-type]


def _falling(c: int, *, users: int = 1) -> NDArray[np.float32]:
    """(users, C) scores whose odds fall as 1 / (1 + rank): steep at the top, flat further down."""
    return np.tile(-np.log1p(np.arange(c, dtype=np.float32)), (users, 1))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), c=st.integers(1, 300), padding=st.floats(0, 1))
def test_temperature_0_without_bonus_is_plain_top_k_with_propensity_1(
    seed: int, c: int, padding: float
) -> None:
    chance = np.random.default_rng(seed)
    scores = chance.integers(0, 40, (3, c)).astype(np.float32)  # with ties
    scores[chance.random((3, c)) < padding] = -np.inf
    slates = _slates(scores, config=_FIRM)
    for u in range(3):
        top = np.argsort(-scores[u], kind="stable")[: min(10, int(np.isfinite(scores[u]).sum()))]
        assert slates.positions[u].tolist() == top.tolist() + [-1] * (10 - len(top))
        assert slates.propensities[u].tolist() == [1.0] * len(top) + [0.0] * (10 - len(top))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), c=st.integers(1, 120))
def test_no_candidate_comes_twice_and_padding_comes_last(seed: int, c: int) -> None:
    chance = np.random.default_rng(seed)
    scores = chance.standard_normal((8, c)).astype(np.float32)
    scores[chance.random((8, c)) < 0.5] = -np.inf
    slates = _slates(
        scores,
        config=SlateConfig(temperature=1.0),
        bonus=Bonus(tail=0.1, variety=0.2, young=0.3),
        tail=chance.random((8, c)) < 0.5,
        young=chance.random((8, c)) < 0.5,
        groups=chance.integers(-3, 3, (8, c)).astype(np.int32),
    )
    for u in range(8):
        real = slates.positions[u][slates.positions[u] >= 0]
        assert len(real) == min(10, int(np.isfinite(scores[u]).sum()))
        assert len(set(real.tolist())) == len(real)
        assert (slates.positions[u][: len(real)] >= 0).all()
        assert np.isfinite(scores[u, real]).all()
        assert ((slates.propensities[u] > 0) == (slates.positions[u] >= 0)).all()
        assert (slates.propensities[u] <= 1).all()


@pytest.mark.parametrize("bonus", [Bonus(), Bonus(tail=0.1, variety=0.3, young=0.2)])
def test_slates_come_as_often_as_their_propensities_say(bonus: Bonus) -> None:
    draws = 40_000
    scores = np.tile(np.array([1.0, 0.7, 0.2, -0.4], np.float32), (draws, 1))
    slates = _slates(
        scores,
        config=replace(_PLAIN, temperature=0.8, young_slots=1),
        bonus=bonus,
        tail=np.tile([False, False, True, True], (draws, 1)),
        young=np.tile([False, True, False, True], (draws, 1)),
        groups=np.tile(np.array([5, 5, -2, 5], np.int32), (draws, 1)),
    )
    drawn = Counter(map(tuple, slates.positions.tolist()))
    chances = {
        tuple(positions): float(np.prod(propensities))
        for positions, propensities in zip(
            slates.positions.tolist(), slates.propensities.astype(np.float64), strict=True
        )
    }
    assert len(chances) == 24  # 4 * 3 * 2 ordered slates of three
    assert sum(chances.values()) == pytest.approx(1, abs=1e-5)  # over all alternatives
    for positions, chance in chances.items():
        error = 5 * math.sqrt(chance * (1 - chance) / draws)
        assert drawn[positions] / draws == pytest.approx(chance, abs=error)


def test_without_bonus_the_first_slots_are_plackett_luce() -> None:
    draws = 30_000
    scores = np.array([2.0, 1.0, 0.0], np.float32)
    slates = _slates(np.tile(scores, (draws, 1)), config=SlateConfig(k=2, temperature=2.0))
    weights = np.exp(scores / 2.0)
    second = weights[2] / weights.sum() * weights[0] / (weights[0] + weights[1])
    share = np.mean((slates.positions == np.array([2, 0])).all(axis=1))
    assert share == pytest.approx(second, abs=5 * math.sqrt(second / draws))


def test_slates_grow_more_diverse_with_variety() -> None:
    groups = np.tile((1 + np.arange(40) // 10).astype(np.int32), (5, 1))  # the first ten of one group
    bonuses = np.zeros((5, 3), np.float32)
    bonuses[:, 1] = 0, 0.05, 0.1, 0.3, 3
    slates = _slates(_falling(40, users=5), config=_FIRM, groups=groups, bonuses=bonuses)
    first_group = [int((row < 10).sum()) for row in slates.positions]
    kinds = [len(set((row // 10).tolist())) for row in slates.positions]
    assert first_group == sorted(first_group, reverse=True)
    assert (kinds[0], kinds[-1]) == (1, 4)


def test_items_of_no_known_group_add_no_variety() -> None:
    groups = np.array([[0, 0, 0, 4]], np.int32)
    slates = _slates(
        _falling(4), config=SlateConfig(k=2, temperature=0.0), groups=groups, bonus=Bonus(variety=9)
    )
    assert slates.positions.tolist() == [[3, 0]]


def test_the_tail_enters_in_the_low_slots_with_its_best_items() -> None:
    tail = np.zeros((1, 40), np.bool_)
    tail[0, 12:] = True
    slates = _slates(_falling(40), config=_FIRM, tail=tail, bonus=Bonus(tail=0.012))
    kept = slates.positions[0]
    assert kept[:6].tolist() == [0, 1, 2, 3, 4, 5]
    assert {12, 13} <= set(kept.tolist())
    assert kept.max() < 16


def test_the_young_are_lifted_from_far_down_as_often_as_allowed() -> None:
    young = np.zeros((1, 120), np.bool_)
    young[:, 100:104] = True
    for allowed in (0, 1, 2):
        slates = _slates(
            _falling(120),
            config=SlateConfig(temperature=0.0, young_slots=allowed),
            young=young,
            bonus=Bonus(young=0.5),
        )
        assert sum(at >= 100 for at in slates.positions[0].tolist()) == allowed


def test_a_young_item_that_ranks_by_itself_takes_up_one_of_the_places() -> None:
    young = np.zeros((1, 50), np.bool_)
    young[0, [0, 40, 41]] = True
    slates = _slates(_falling(50), config=SlateConfig(temperature=0.0), young=young, bonus=Bonus(young=0.05))
    assert {0, 40} <= set(slates.positions[0].tolist())
    assert 41 not in slates.positions[0]


def test_a_small_temperature_costs_few_odds() -> None:
    scores = np.random.default_rng(3).standard_normal((500, 200)).astype(np.float32)
    odds = np.exp(scores)
    slates = _slates(scores, config=SlateConfig())
    kept = np.take_along_axis(odds, slates.positions, axis=1).sum()
    best = -np.sort(-odds, axis=1)[:, :10].sum()
    assert kept / best > 0.99
    assert (slates.propensities < 0.999).any()


def test_scores_far_apart_and_bonuses_of_nothing_are_fine() -> None:
    scores = np.array([[1e4, -1e4, 0.0, 1e30]], np.float32)
    slates = _slates(scores, config=SlateConfig(k=4))
    assert slates.positions[0, 0] == 3
    assert sorted(slates.positions[0].tolist()) == [0, 1, 2, 3]
    assert (slates.propensities > 0).all()


def test_a_slate_depends_on_its_own_user_and_seed_only() -> None:
    scores = np.random.default_rng(4).standard_normal((16, 60)).astype(np.float32)
    seeds = np.arange(100, 116, dtype=np.uint64)
    config = SlateConfig(temperature=0.5)
    groups = np.random.default_rng(5).integers(0, 4, (16, 60)).astype(np.int32)
    bonus = Bonus(variety=0.02)
    together = _slates(scores, config=config, seeds=seeds, groups=groups, bonus=bonus)
    alone = [
        _slates(
            scores[u : u + 1],
            config=config,
            seeds=seeds[u : u + 1],
            groups=groups[u : u + 1],
            bonus=bonus,
        )
        for u in range(16)
    ]
    np.testing.assert_array_equal(together.positions, np.concatenate([one.positions for one in alone]))
    other = _slates(scores, config=config, seeds=seeds + np.uint64(1), groups=groups, bonus=bonus)
    assert (other.positions != together.positions).any()


def test_entropy_gains_add_up_to_the_entropy_of_the_slate() -> None:
    gains = entropy_gains(20)
    # Twenty items of twenty kinds: log2(20) bits; of ten kinds, two each: one bit less.
    assert 20 * gains[0] == pytest.approx(math.log2(20))
    assert 10 * (gains[0] + gains[1]) == pytest.approx(math.log2(10))
    assert (np.diff(gains) <= 0).all()


def test_no_users_and_no_candidates_give_empty_slates() -> None:
    assert _slates(np.zeros((0, 5), np.float32), config=_PLAIN).positions.shape == (0, 3)
    assert _slates(np.zeros((2, 0), np.float32), config=_PLAIN).positions.tolist() == [[-1] * 3] * 2


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_never_chosen(value: float) -> None:
    scores = np.array([[value, 1.0, value, 2.0, value]], np.float32)
    assert _slates(scores, config=replace(_PLAIN, temperature=0.0)).positions.tolist() == [[3, 1, -1]]


@pytest.mark.parametrize(
    ("name", "array", "says"),
    [
        ("tail", np.zeros((2, 4), np.int8), "tail is int8"),
        ("young", np.zeros((2, 3), np.bool_), "young is bool"),
        ("groups", np.zeros((2, 4), np.int64), "groups is int64"),
        ("bonuses", np.zeros((2, 2), np.float32), "bonuses is float32"),
        ("bonuses", np.array([[0, 0, 0], [0, -1, 0]], np.float32), "bonuses has -1.0"),
        ("bonuses", np.array([[0, 0, 0], [0, np.nan, 0]], np.float32), "bonuses has nan"),
        ("seeds", np.zeros(2, np.int64), "seeds is int64"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(name: str, array: NDArray[np.generic], says: str) -> None:
    with pytest.raises(InputError, match=says):
        _slates(np.zeros((2, 4), np.float32), config=_PLAIN, **{name: array})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"k": 0}, "k is 0"),
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": math.inf}, "temperature"),
        ({"young_slots": -1}, "young_slots -1"),
    ],
)
def test_wrong_settings_are_refused(change: dict[str, int], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        SlateConfig(**change)


@pytest.mark.parametrize("value", [-0.1, math.inf, math.nan])
def test_wrong_bonuses_are_refused(value: float) -> None:
    for name in ("tail", "variety", "young"):
        with pytest.raises(ConfigError, match=name):
            Bonus(**{name: value})
