import math
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest

from load.prequential.baselines.session_knn import STAN, VS_KNN, VSTAN, SessionKnn, SessionKnnConfig
from load.prequential.contender import StreamInfo, Unit
from tests.load.prequential.baselines.made import (
    answers,
    hit_rate,
    random_baskets,
    random_sessions,
    same_order_by_score,
    stream,
)

DAY_MS = 86_400_000


def by_the_book(units: list[Unit], now: Unit, config: SessionKnnConfig, *, repeats: bool) -> dict[int, float]:
    """Scores by the papers' formulas, one session at a time."""
    sessions: dict[int, list[list[int]]] = defaultdict(list)
    latest: dict[int, int] = {}
    times: dict[int, int] = defaultdict(int)
    for unit in units:
        sessions[unit.session].append(unit.items.tolist())
        latest[unit.session] = unit.at_ms
        for item in unit.items.tolist():
            times[item] += 1
    own = sessions.pop(now.session, [])
    last_place: dict[int, int] = {}
    order: list[int] = []  # distinct items, earliest last place first
    for place, items in enumerate(own):
        for item in items:
            last_place[item] = place
            order = [i for i in order if i != item] + [item]
    ago = {item: float(len(own) - 1 - place) for item, place in last_place.items()}
    weight = {item: float(config.item_weight(np.array([a]), len(own))[0]) for item, a in ago.items()}
    scores: dict[int, float] = defaultdict(float)
    for session, steps in sessions.items():
        held = {item: place for place, items in enumerate(steps) for item in items}
        shared = [item for item in order if item in held]
        if not shared:
            continue
        like = sum(weight[item] for item in shared)
        if config.cosine:
            like /= math.sqrt(len(held))
        like *= math.exp(-(now.at_ms - latest[session]) / (config.age_decay_days * DAY_MS))
        star = shared[-1]
        like *= float(config.shared_weight(np.array([ago[star]]))[0])
        for item, place in held.items():
            vote = like * math.exp(-abs(place - held[star]) / config.place_decay)
            if config.idf:
                seen = len(sessions) + bool(own)
                vote *= 1 + config.idf * max(math.log(seen) - math.log(times[item]), 0.0)
            scores[item] += vote
    if not repeats and order:
        scores.pop(order[-1], None)
    return scores


@pytest.mark.parametrize("config", [VS_KNN, STAN, VSTAN, replace(VSTAN, idf=2.0)])
@pytest.mark.parametrize("made", [random_sessions, random_baskets])
def test_scores_are_those_of_the_paper(config: SessionKnnConfig, made: object) -> None:
    info, units = made(n=160)  # type: ignore[operator]
    repeats = info.protocol == "basket"
    said = answers(SessionKnn(info, name="x", config=config), units)
    checked = 0
    for at in range(60, 160):
        scores = by_the_book(units[:at], units[at], config, repeats=repeats)
        if len(scores) >= 5:
            assert same_order_by_score(said[at], scores)
            checked += 1
    assert checked > 40


def _chains(n: int, *, noise: bool) -> tuple[StreamInfo, list[Unit]]:
    """Sessions of five: a chain of items that always follow each other, or of any."""
    rng = np.random.default_rng(5)
    rows = []
    for session in range(n):
        start = int(rng.integers(20))
        for place in range(5):
            rows.append((session, session, [int(rng.integers(100)) if noise else start * 5 + place]))
    return stream(rows, protocol="session")


@pytest.mark.parametrize("config", [VS_KNN, STAN, VSTAN])
def test_finds_a_planted_chain_and_nothing_in_noise(config: SessionKnnConfig) -> None:
    info, units = _chains(120, noise=False)
    inside = [unit for unit in units if unit.index % 5]
    said = answers(SessionKnn(info, name="x", config=config), units)
    kept = [best for unit, best in zip(units, said, strict=True) if unit.index % 5]
    assert hit_rate(kept, inside, after=len(inside) // 2) > 0.95
    info, units = _chains(120, noise=True)
    said = answers(SessionKnn(info, name="x", config=config), units)
    assert hit_rate(said, units, after=300) < 0.12


def test_only_the_most_alike_vote() -> None:
    rows = [(0, 0, [1]), (0, 0, [2]), (0, 0, [7])]
    rows += [(s, s, [i]) for s in range(1, 4) for i in (2, 8)]
    rows += [(9, 9, [1]), (9, 9, [2]), (9, 9, [3])]
    info, units = stream(rows, protocol="session")
    contender = SessionKnn(info, name="x", config=replace(STAN, neighbours=1, age_decay_days=1e9))
    said = answers(contender, units, k=1)
    assert said[-1].tolist() == [7]  # session 0 shares both items; the three with 8 share one


def test_settings_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match=r"neighbours is 0"):
        replace(STAN, neighbours=0)
    with pytest.raises(ValueError, match=r"idf is -1"):
        replace(STAN, idf=-1)
