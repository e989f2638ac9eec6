"""The bandit finds the better arm, goes on exploring, prefers nothing on noise, knows its propensities."""

import json
import math
from dataclasses import astuple, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.bandit import (
    DEFAULT_ARMS,
    DEFAULT_CONTEXTS,
    Arm,
    BanditConfig,
    DiversityBandit,
    context_of,
    scaled_arms,
)
from models.errors import ConfigError, InputError, SnapshotError
from models.slate import Bonus

_ARMS = tuple(Arm(name, Bonus(variety=variety)) for name, variety in (("a", 0.0), ("b", 0.5), ("c", 1.0)))
_CONFIG = BanditConfig(arms=_ARMS, contexts=("only",), memory=math.inf, draws=512, uniform_share=0.02)


def _seeds(n: int, *, start: int = 0) -> NDArray[np.uint64]:
    return np.arange(start, start + n, dtype=np.uint64)


def _play(
    bandit: DiversityBandit, rates: NDArray[np.float64], *, seed: int, context: int = 0
) -> NDArray[np.int32]:
    """Arms chosen over (T, A) reward rates, the rewards learnt one by one."""
    chance = np.random.default_rng(seed)
    uniforms = chance.random(len(rates))
    chosen = np.zeros(len(rates), dtype=np.int32)
    contexts = np.full(1, context, np.int32)
    for t in range(len(rates)):
        arms, _ = bandit.choose(contexts, seeds=np.array([seed * 1_000_003 + t], np.uint64))
        chosen[t] = arms[0]
        bandit.update(context, arm=int(arms[0]), reward=float(uniforms[t] < rates[t, arms[0]]))
    return chosen


def test_regret_grows_slower_than_time() -> None:
    rates = np.tile([0.1, 0.3, 0.15], (4_000, 1))
    early, late = 0.0, 0.0
    for seed in range(3):
        chosen = _play(DiversityBandit(_CONFIG), rates, seed=seed)
        regret = 0.3 - rates[0][chosen]
        early += regret[:1_000].sum()
        late += regret[3_000:].sum()
        assert np.mean(chosen[3_000:] == 1) > 0.9
    assert late < 0.5 * early
    assert late < 0.2 * 3 * 1_000 * (0.3 - rates[0].mean())  # a fifth of what playing at random costs


def test_it_turns_to_another_arm_when_tastes_drift() -> None:
    rates = np.concatenate([np.tile([0.4, 0.2, 0.1], (3_000, 1)), np.tile([0.1, 0.2, 0.4], (3_000, 1))])
    chosen = _play(DiversityBandit(replace(_CONFIG, memory=500)), rates, seed=1)
    assert np.mean(chosen[2_000:3_000] == 0) > 0.6
    assert np.mean(chosen[5_000:] == 2) > 0.6
    assert set(np.unique(chosen[5_000:]).tolist()) == {0, 1, 2}  # it still tries the others


def test_a_cap_on_the_evidence_also_lets_it_turn() -> None:
    rates = np.concatenate([np.tile([0.5, 0.2, 0.2], (4_000, 1)), np.tile([0.05, 0.4, 0.2], (2_000, 1))])
    chosen = _play(DiversityBandit(replace(_CONFIG, most_evidence=200)), rates, seed=2)
    assert np.mean(chosen[5_000:] == 1) > 0.7


def test_on_noise_no_arm_is_preferred() -> None:
    rates = np.full((600, 3), 0.3)
    shares = [
        np.bincount(_play(DiversityBandit(_CONFIG), rates, seed=seed), minlength=3) / 600
        for seed in range(20)
    ]
    spread = np.std(shares, axis=0) / math.sqrt(len(shares))
    np.testing.assert_array_less(np.abs(np.mean(shares, axis=0) - 1 / 3), 4 * spread)
    assert np.std([share.argmax() for share in shares]) > 0  # and not always the same one by luck


def test_contexts_learn_apart() -> None:
    config = replace(_CONFIG, contexts=("x", "y"))
    bandit = DiversityBandit(config)
    _play(bandit, np.tile([0.5, 0.1, 0.1], (800, 1)), seed=3, context=0)
    _play(bandit, np.tile([0.1, 0.1, 0.5], (800, 1)), seed=4, context=1)
    assert bandit.probabilities.argmax(axis=1).tolist() == [0, 2]
    assert bandit.updates == 1_600


def _bandit_after(rewards: list[tuple[int, float]], config: BanditConfig = _CONFIG) -> DiversityBandit:
    bandit = DiversityBandit(config)
    for arm, reward in rewards:
        bandit.update(0, arm=arm, reward=reward)
    return bandit


def test_propensities_match_the_frequencies_of_the_arms() -> None:
    bandit = _bandit_after([(0, 0.0), (0, 1.0), (1, 1.0), (1, 1.0), (2, 0.0)])
    n = 60_000
    arms, propensities = bandit.choose(np.zeros(n, np.int32), seeds=_seeds(n))
    for arm in range(3):
        share = np.mean(arms == arm)
        propensity = float(propensities[arms == arm][0])
        assert (propensities[arms == arm] == np.float32(propensity)).all()
        assert share == pytest.approx(propensity, abs=5 * math.sqrt(propensity * (1 - propensity) / n))


def test_propensities_are_those_of_thompson_sampling() -> None:
    config = replace(_CONFIG, draws=20_000, uniform_share=0.1)
    bandit = _bandit_after([(0, 1.0)] * 6 + [(0, 0.0)] * 6 + [(1, 1.0)] * 4 + [(1, 0.0)] * 9, config)
    bandit.update(0, arm=2, reward=0.5, weight=4)
    drawn = np.random.default_rng(9).beta([7, 5, 3], [7, 10, 3], size=(200_000, 3)).argmax(axis=1)
    thompson = np.bincount(drawn) / len(drawn)
    np.testing.assert_allclose(bandit.probabilities[0], 0.9 * thompson + 0.1 / 3, atol=0.015)


def test_no_propensity_is_below_the_floor() -> None:
    bandit = _bandit_after([(0, 1.0)] * 300 + [(1, 0.0)] * 300 + [(2, 0.0)] * 300)
    assert bandit.probabilities[0, 0] > 0.97
    assert bandit.probabilities.min() == pytest.approx(0.02 / 3)
    assert bandit.probabilities.sum() == pytest.approx(1)


def test_probabilities_are_redrawn_only_when_the_evidence_changed_enough() -> None:
    bandit = _bandit_after([(arm, 0.3) for arm in range(3)] * 200, replace(_CONFIG, refresh_share=0.05))
    distinct = set()
    for _ in range(90):
        bandit.update(0, arm=1, reward=1.0)
        distinct.add(tuple(bandit.probabilities[0].tolist()))
    assert 2 <= len(distinct) <= 5


def test_choosing_changes_nothing_and_is_decided_by_the_seed() -> None:
    bandit = _bandit_after([(1, 0.5)])
    before = bandit.state()
    contexts = np.zeros(500, np.int32)
    first, second = bandit.choose(contexts, seeds=_seeds(500)), bandit.choose(contexts, seeds=_seeds(500))
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])
    assert (bandit.choose(contexts, seeds=_seeds(500, start=500))[0] != first[0]).any()
    assert bandit.state() == before
    alone = bandit.choose(contexts[:1], seeds=_seeds(1, start=77))
    assert alone[0][0] == first[0][77]


def test_a_restored_bandit_goes_on_exactly_as_the_one_that_was_saved() -> None:
    config = replace(_CONFIG, memory=300)
    rates = np.tile([0.2, 0.25, 0.3], (400, 1))
    saved = DiversityBandit(config)
    _play(saved, rates, seed=5)
    restored = DiversityBandit.from_state(json.loads(json.dumps(saved.state())), config=config)
    np.testing.assert_array_equal(_play(saved, rates, seed=6), _play(restored, rates, seed=6))
    assert saved.state() == restored.state()


def test_evidence_and_state_stay_bounded() -> None:
    config = replace(_CONFIG, memory=100, most_evidence=50)
    small, large = (_bandit_after([(0, 1.0)] * n, config) for n in (1_000, 10_000))
    assert len(json.dumps(small.state())) == pytest.approx(len(json.dumps(large.state())), rel=0.1)
    assert max(large.state()["alpha"][0]) <= 51.0 + 1e-9


def test_weight_counts_as_so_many_slates() -> None:
    heavy = DiversityBandit(_CONFIG)
    heavy.update(0, arm=1, reward=1.0, weight=10)
    light = _bandit_after([(1, 1.0)] * 10)
    np.testing.assert_allclose(heavy.means(), light.means())
    assert heavy.means()[0, 1] == pytest.approx(11 / 12)


def test_bonuses_are_what_the_slate_takes() -> None:
    bandit = DiversityBandit(BanditConfig())
    bonuses = bandit.bonuses(np.array([0, 3], np.int32))
    assert bonuses.dtype == np.float32
    strong = DEFAULT_ARMS[3].bonus
    np.testing.assert_allclose(bonuses, [[0, 0, 0], [strong.tail, strong.variety, strong.young]], rtol=1e-6)


def test_scaled_arms_keep_their_names_and_scale_every_bonus() -> None:
    twice = scaled_arms(2.0)
    assert [arm.name for arm in twice] == [arm.name for arm in DEFAULT_ARMS]
    assert twice[2].bonus == Bonus(*(2 * part for part in astuple(DEFAULT_ARMS[2].bonus)))
    assert all(arm.bonus == Bonus() and not arm.explore for arm in scaled_arms(0.0))


def test_contexts_are_named_by_warmth_and_intent() -> None:
    contexts = context_of(np.array([0, 4, 5, 50]), intent=np.array([False, True, False, True]))
    assert [DEFAULT_CONTEXTS[context] for context in contexts] == list(DEFAULT_CONTEXTS)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"context": 1}, r"context is 1; it must be in 0\.\.0"),
        ({"context": -1}, "context is -1"),
        ({"arm": 3}, r"arm is 3; it must be in 0\.\.2"),
        ({"reward": 1.1}, "reward is 1.1"),
        ({"reward": -0.1}, "reward is -0.1"),
        ({"reward": math.nan}, "reward is nan"),
        ({"weight": 0.0}, "weight is 0.0"),
        ({"weight": math.inf}, "weight is inf"),
    ],
)
def test_a_wrong_update_is_refused_and_changes_nothing(change: dict[str, Any], says: str) -> None:
    bandit = DiversityBandit(_CONFIG)
    before = bandit.state()
    arguments: dict[str, Any] = {"context": 0, "arm": 0, "reward": 0.5, "weight": 1.0} | change
    with pytest.raises(InputError, match=says):
        bandit.update(arguments.pop("context"), **arguments)
    assert bandit.state() == before


def test_wrong_contexts_and_seeds_are_refused() -> None:
    bandit = DiversityBandit(_CONFIG)
    with pytest.raises(InputError, match=r"contexts are in 0\.\.1"):
        bandit.choose(np.array([0, 1], np.int32), seeds=_seeds(2))
    with pytest.raises(InputError, match="seeds"):
        bandit.choose(np.array([0], np.int32), seeds=_seeds(2))
    with pytest.raises(InputError, match="int64"):
        bandit.choose(np.array([0], np.int32), seeds=np.array([1]))
    assert len(bandit.choose(np.zeros(0, np.int32), seeds=_seeds(0))[0]) == 0


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"arms": ["a", "b", "d"]},
        {"contexts": ["other"]},
        {"alpha": [[1.0, 1.0]]},
        {"alpha": [[1.0, 1.0, 0.0]]},
        {"beta": [[1.0, 1.0, "x"]]},
        {"probabilities": None},
        {"updates": [1, 2]},
    ],
)
def test_a_damaged_or_foreign_state_is_refused(change: dict[str, Any]) -> None:
    state = DiversityBandit(_CONFIG).state() | change
    with pytest.raises(SnapshotError, match="saved bandit"):
        DiversityBandit.from_state(state, config=_CONFIG)


@pytest.mark.parametrize(
    "change",
    [
        {"arms": (Arm("a"),)},
        {"arms": (Arm("a"), Arm("a", Bonus(tail=1.0)))},
        {"contexts": ()},
        {"contexts": ("x", "x")},
        {"prior_alpha": 0},
        {"memory": math.nan},
        {"most_evidence": 0},
        {"uniform_share": 0},
        {"uniform_share": 1.5},
        {"refresh_share": 1},
        {"draws": 0},
    ],
)
def test_wrong_settings_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(change))):
        BanditConfig(**change)


def test_exploring_draws_closer_to_uniform_and_ends() -> None:
    bandit = DiversityBandit(_CONFIG)
    for _ in range(300):
        bandit.update(0, arm=0, reward=1.0)
        bandit.update(0, arm=1, reward=0.0)
    usual = bandit.probabilities
    bandit.explore(50.0)
    assert bandit.probabilities[0].max() < usual[0].max()
    restored = DiversityBandit.from_state(json.loads(json.dumps(bandit.state())), config=_CONFIG)
    assert restored.exploration == 50.0
    assert np.array_equal(restored.probabilities, bandit.probabilities)
    bandit.explore(1.0)
    assert np.array_equal(bandit.probabilities[0], usual[0]) or bandit.probabilities[0].argmax() == 0
    with pytest.raises(InputError, match="exploration"):
        bandit.explore(0.5)
