"""Slates: drawn as their propensities say, plain top-k at temperature 0, more diverse as lambda grows."""

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.errors import ConfigError, InputError
from models.slate import SlateConfig, Slates, make_slates

_PLAIN = SlateConfig(k=3, pool=5, temperature=0.5, explore_slots=(), explore_pool=4)


def _vectors(n: int, d: int, *, seed: int) -> NDArray[np.float16]:
    raw = np.random.default_rng(seed).standard_normal((n, d))
    raw[0] = 0
    raw[1:] /= np.linalg.norm(raw[1:], axis=1, keepdims=True)
    return raw.astype(np.float16)


def _slates(scores: NDArray[np.float32], *, config: SlateConfig, **given_arrays: object) -> Slates:
    b, c = scores.shape
    arrays: dict[str, object] = {
        "items": np.tile(np.arange(1, c + 1, dtype=np.int32), (b, 1)),
        "is_new": np.zeros((b, c), np.bool_),
        "mmr_lambda": np.zeros(b, np.float32),
        "explore": np.zeros(b, np.bool_),
        "vectors": _vectors(c + 1, 8, seed=1),
        "categories": np.zeros(c + 1, np.int32),
        "seeds": np.arange(b, dtype=np.uint64),
    }
    return make_slates(scores, **(arrays | given_arrays), config=config)  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), c=st.integers(1, 300), padding=st.floats(0, 1))
def test_temperature_0_and_lambda_0_is_plain_top_k_with_propensity_1(
    seed: int, c: int, padding: float
) -> None:
    chance = np.random.default_rng(seed)
    scores = chance.integers(0, 40, (3, c)).astype(np.float32)  # with ties
    scores[chance.random((3, c)) < padding] = -np.inf
    slates = _slates(scores, config=SlateConfig(temperature=0.0))
    for u in range(3):
        top = np.argsort(-scores[u], kind="stable")[: min(10, int(np.isfinite(scores[u]).sum()))]
        assert slates.positions[u].tolist() == top.tolist() + [-1] * (10 - len(top))
        assert slates.propensities[u].tolist() == [1.0] * len(top) + [0.0] * (10 - len(top))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), c=st.integers(1, 120), explore=st.booleans())
def test_no_candidate_comes_twice_and_padding_comes_last(seed: int, c: int, explore: bool) -> None:
    chance = np.random.default_rng(seed)
    scores = chance.standard_normal((8, c)).astype(np.float32)
    scores[chance.random((8, c)) < 0.5] = -np.inf
    slates = _slates(
        scores,
        config=SlateConfig(temperature=1.0),
        is_new=chance.random((8, c)) < 0.5,
        mmr_lambda=np.full(8, 0.5, np.float32),
        explore=np.full(8, explore),
    )
    for u in range(8):
        real = slates.positions[u][slates.positions[u] >= 0]
        assert len(real) == min(10, int(np.isfinite(scores[u]).sum()))
        assert len(set(real.tolist())) == len(real)
        assert (slates.positions[u][: len(real)] >= 0).all()
        assert np.isfinite(scores[u, real]).all()
        assert ((slates.propensities[u] > 0) == (slates.positions[u] >= 0)).all()
        assert (slates.propensities[u] <= 1).all()


@pytest.mark.parametrize("mmr_lambda", [0.0, 1.0])
def test_slates_come_as_often_as_their_propensities_say(mmr_lambda: float) -> None:
    draws = 40_000
    scores = np.tile(np.array([1.0, 0.7, 0.2, -0.4], np.float32), (draws, 1))
    slates = _slates(
        scores,
        config=replace(_PLAIN, temperature=0.8),
        mmr_lambda=np.full(draws, mmr_lambda, np.float32),
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


def test_without_diversity_the_first_slots_are_plackett_luce() -> None:
    draws = 30_000
    scores = np.array([2.0, 1.0, 0.0], np.float32)
    slates = _slates(np.tile(scores, (draws, 1)), config=replace(_PLAIN, k=2, temperature=1.0))
    weights = np.exp(scores / scores.std())
    second = weights[2] / weights.sum() * weights[0] / (weights[0] + weights[1])
    share = np.mean((slates.positions == np.array([2, 0])).all(axis=1))
    assert share == pytest.approx(second, abs=5 * math.sqrt(second / draws))


def test_slates_grow_more_diverse_with_lambda() -> None:
    vectors = np.zeros((41, 4), np.float16)
    vectors[np.arange(1, 41), (np.arange(40) // 10)] = 1  # four topics, the first ten candidates of one
    scores = np.linspace(2, 0, 40, dtype=np.float32)[None].repeat(5, axis=0)
    slates = _slates(
        scores,
        config=SlateConfig(temperature=0.0),
        vectors=vectors,
        categories=np.zeros(41, np.int32),
        mmr_lambda=np.array([0, 0.5, 1, 2, 4], np.float32),
    )
    first_topic = [int((row < 10).sum()) for row in slates.positions]
    topics = [len(set((row // 10).tolist())) for row in slates.positions]
    assert first_topic == sorted(first_topic, reverse=True)
    assert (topics[0], topics[-1]) == (1, 4)


def test_items_without_text_are_told_apart_by_category() -> None:
    scores = np.array([[3.0, 2.9, 2.0]], np.float32)
    slates = _slates(
        scores,
        config=replace(_PLAIN, k=2, temperature=0.0),
        vectors=np.zeros((4, 8), np.float16),
        categories=np.array([0, 7, 7, 8], np.int32),
        mmr_lambda=np.array([5], np.float32),
    )
    assert slates.positions.tolist() == [[0, 2]]


def test_exploring_slots_lift_new_items_that_are_far_down() -> None:
    scores = np.linspace(5, 0, 120, dtype=np.float32)[None].repeat(2_000, axis=0)
    is_new = np.zeros((2_000, 120), np.bool_)
    is_new[:, 100:104] = True
    explore = np.arange(2_000) % 2 == 0
    config = SlateConfig(temperature=0.0, explore_slots=(4, 8), explore_temperature=math.inf)
    slates = _slates(scores, config=config, is_new=is_new, explore=explore)
    assert (slates.explored == (explore[:, None] & np.isin(np.arange(10), [4, 8]))).all()
    lifted = slates.positions[explore][:, [4, 8]]
    assert set(np.unique(lifted).tolist()) == {100, 101, 102, 103}
    np.testing.assert_allclose(slates.propensities[explore][:, [4, 8]], [[1 / 4, 1 / 3]] * 1_000)
    np.testing.assert_allclose(np.bincount(lifted[:, 0] - 100) / 1_000, 0.25, atol=0.07)
    assert (slates.positions[~explore] == np.arange(10)).all()


def test_an_exploring_slot_without_new_items_is_a_plain_slot() -> None:
    scores = np.linspace(5, 0, 30, dtype=np.float32)[None]
    slates = _slates(scores, config=SlateConfig(temperature=0.0), explore=np.array([True]))
    assert slates.positions.tolist() == [list(range(10))]
    assert not slates.explored.any()


def test_a_small_temperature_costs_little_relevance_and_scale_does_not_matter() -> None:
    scores = np.random.default_rng(3).standard_normal((500, 200)).astype(np.float32)
    slates = _slates(scores, config=SlateConfig())
    kept = np.take_along_axis(scores, slates.positions, axis=1).sum()
    best = -np.sort(-scores, axis=1)[:, :10].sum()
    assert kept / best > 0.99
    assert (slates.propensities < 0.999).any()
    scaled = _slates(4 * scores, config=SlateConfig())
    np.testing.assert_array_equal(scaled.positions, slates.positions)


def test_a_slate_depends_on_its_own_user_and_seed_only() -> None:
    scores = np.random.default_rng(4).standard_normal((16, 60)).astype(np.float32)
    seeds = np.arange(100, 116, dtype=np.uint64)
    config = SlateConfig(temperature=0.5)
    together = _slates(scores, config=config, seeds=seeds)
    alone = [_slates(scores[u : u + 1], config=config, seeds=seeds[u : u + 1]) for u in range(16)]
    np.testing.assert_array_equal(together.positions, np.concatenate([one.positions for one in alone]))
    other = _slates(scores, config=config, seeds=seeds + np.uint64(1))
    assert (other.positions != together.positions).any()


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
        ("items", np.full((2, 4), 5, np.int32), r"0\.\.4"),
        ("items", np.ones((2, 3), np.int32), "items is int32"),
        ("is_new", np.zeros((2, 4), np.int8), "is_new is int8"),
        ("mmr_lambda", np.array([0, -1], np.float32), "mmr_lambda has -1.0"),
        ("mmr_lambda", np.array([0, np.nan], np.float32), "mmr_lambda has nan"),
        ("explore", np.zeros(3, np.bool_), "explore is bool"),
        ("vectors", np.zeros((5, 8), np.float32), "vectors is float32"),
        ("vectors", np.zeros((8, 5), np.float16).T, "contiguous"),
        ("categories", np.zeros(6, np.int32), "categories is int32"),
        ("seeds", np.zeros(2, np.int64), "seeds is int64"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(name: str, array: NDArray[np.generic], says: str) -> None:
    with pytest.raises(InputError, match=says):
        _slates(np.zeros((2, 4), np.float32), config=_PLAIN, **{name: array})


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"k": 0}, "k is 0"),
        ({"k": 60}, "pool 50"),
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": math.inf}, "temperature"),
        ({"explore_temperature": math.nan}, "explore_temperature"),
        ({"explore_slots": (10,)}, "explore_slots"),
        ({"explore_pool": -1}, "explore_pool"),
    ],
)
def test_wrong_settings_are_refused(change: dict[str, int], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        SlateConfig(**change)  # type: ignore[arg-type]
