"""Personal frequency, sequential rules and the basket hybrid against plain counting."""

from collections import defaultdict

import numpy as np
import pytest

from load.prequential.baselines.basket_hybrid import BasketHybrid, BasketHybridConfig
from load.prequential.baselines.personal import PersonalFrequency
from load.prequential.baselines.popularity import RECENT_HALF_LIFE_MS
from load.prequential.baselines.rules import SequentialRules, SequentialRulesConfig
from load.prequential.contender import Unit
from tests.load.prequential.baselines.made import (
    answers,
    random_baskets,
    random_sessions,
    same_order_by_score,
    stream,
)


def test_personal_frequency_never_puts_a_rarer_own_item_first() -> None:
    info, units = random_baskets(n=300)
    said = answers(PersonalFrequency(info), units, k=4)
    counts: dict[int, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    checked = 0
    for unit, best in zip(units, said, strict=True):
        own = counts[unit.user]
        if len(own) >= 4:
            found = [own.get(int(item), 0) for item in best]
            assert found == sorted(own.values(), reverse=True)[:4]
            checked += 1
        for item in unit.items.tolist():
            own[item] += 1
    assert checked > 200


def test_personal_frequency_breaks_ties_by_popularity_and_recency() -> None:
    others = [(1, 1, [3]), (2, 2, [3])]
    info, units = stream([(0, 0, [4]), (0, 0, [3]), *others, (0, 0, [5])], protocol="basket")
    assert answers(PersonalFrequency(info), units, k=2)[-1].tolist() == [3, 4]
    info, units = stream([(0, 0, [1]), (0, 0, [2]), (0, 0, [5])], protocol="basket")
    assert answers(PersonalFrequency(info), units, k=2)[-1].tolist() == [2, 1]


def _rules(units: list[Unit], now: Unit, steps: int) -> dict[int, float]:
    sessions: dict[int, list[list[int]]] = defaultdict(list)
    for unit in units:
        sessions[unit.session].append(unit.items.tolist())
    scores: dict[int, float] = defaultdict(float)
    asked = sessions[now.session][-1] if now.session in sessions else []
    for taken in sessions.values():
        for i, head in enumerate(taken):
            for distance in range(1, steps + 1):
                if i + distance < len(taken):
                    for item in set(head) & set(asked):
                        for follower in taken[i + distance]:
                            scores[follower] += 1 / distance * (item >= 0)
    return scores


@pytest.mark.parametrize("made", [random_sessions, random_baskets])
def test_rules_are_the_sums_of_one_over_distance(made: object) -> None:
    info, units = made(n=150)  # type: ignore[operator]
    said = answers(SequentialRules(info, config=SequentialRulesConfig(steps=3)), units, k=4)
    checked = 0
    for at in range(50, 150):
        scores = _rules(units[:at], units[at], 3)
        if info.protocol == "session":
            last = [unit for unit in units[:at] if unit.session == units[at].session]
            scores.pop(int(last[-1].items[0]) if last else -1, None)
        if len(scores) >= 4:
            assert same_order_by_score(said[at], scores)
            checked += 1
    assert checked > 40


def test_rules_forget_the_oldest_occurrences_first() -> None:
    rows = [(0, 0, [1]), (0, 0, [2]), (1, 1, [1]), (1, 1, [3]), (2, 2, [1]), (2, 2, [0])]
    info, units = stream(rows, protocol="session")
    contender = SequentialRules(info, config=SequentialRulesConfig(occurrences=2))
    assert answers(contender, units, k=1)[-1].tolist() == [3]  # session 2's own 1, then session 1's


def _mixture(units: list[Unit], now: Unit, config: BasketHybridConfig) -> dict[int, float]:
    own = [unit.items.tolist() for unit in units if unit.user == now.user]
    latest: list[int] = []
    for items in reversed(own):
        latest += [item for item in reversed(items) if item not in latest]
    latest = latest[: config.query_items]
    weights = [2.0 ** (-(now.at_ms - unit.at_ms) / RECENT_HALF_LIFE_MS) for unit in units]
    scores: dict[int, float] = defaultdict(float)
    for items in own:
        for item in items:
            scores[item] += config.own / (len(own) + config.prior_steps)
    for item in latest:
        baskets = [unit.items.tolist() for unit in units if item in unit.items][-config.baskets :]
        for basket in baskets:
            for other in basket:
                if other != item:
                    scores[other] += config.together / len(latest) / len(baskets)
    for unit, weight in zip(units, weights, strict=True):
        for item in unit.items.tolist():
            scores[item] += config.popular * weight / sum(weights)
    return scores


def test_the_hybrid_is_the_mixture_of_three_shares() -> None:
    info, units = random_baskets(n=200)
    config = BasketHybridConfig(baskets=4, query_items=5)
    said = answers(BasketHybrid(info, config=config), units)
    users = set()
    for unit, best in zip(units, said, strict=True):
        if unit.user in users:
            assert same_order_by_score(best, _mixture(units[: unit.index], unit, config))
        users.add(unit.user)


def test_the_hybrid_finds_what_goes_together() -> None:
    rng = np.random.default_rng(2)
    rows = []
    for user in range(200):
        pair = int(rng.integers(30))
        rows += [(user, user, [pair]), (user, user, [pair, 30 + pair])]
    info, units = stream(rows, protocol="basket")
    said = answers(BasketHybrid(info), units, k=3)
    found = [
        30 + unit.items[0] in best for unit, best in zip(units, said, strict=True) if len(unit.items) == 2
    ]
    assert np.mean(found[100:]) > 0.9


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: BasketHybridConfig(own=-1), "own is -1"),
        (lambda: BasketHybridConfig(baskets=0), "baskets is 0"),
        (lambda: SequentialRulesConfig(steps=0), "steps is 0"),
    ],
)
def test_settings_out_of_range_are_refused(make: object, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        make()  # type: ignore[operator]
