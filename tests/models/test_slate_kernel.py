"""The compiled slate loop equals plain Python on random users."""

import math
from dataclasses import astuple

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from models.slate import Bonus, SlateConfig, make_slates

_M = (1 << 64) - 1


def _uniforms(seed: int) -> "list[float]":
    """The first 100 uniforms of splitmix64."""
    out, state = [], seed
    for _ in range(100):
        state = state + 0x9E3779B97F4A7C15 & _M
        mixed = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & _M
        mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & _M
        out.append(((mixed ^ mixed >> 31) >> 11) / 2**53)
    return out


def _bits(members: int, *, k: int) -> float:
    """What the next item of a group with so many members adds to the entropy of k slots."""

    def part(count: int) -> float:
        return -(count / k) * math.log2(count / k) if count else 0.0

    return max(0.0, part(members + 1) - part(members))


def _reference(
    scores: list[float],
    *,
    tail: list[bool],
    young: list[bool],
    groups: list[int],
    bonus: Bonus,
    seed: int,
    config: SlateConfig,
) -> list[tuple[int, float]]:
    """One slate in plain Python: (position, propensity) of each slot filled."""
    finite = [at for at in range(len(scores)) if math.isfinite(scores[at])]
    if not finite:
        return []
    best_score = max(scores[at] for at in finite)
    mass = sum(math.exp(scores[at] - best_score) for at in finite)
    uniforms = iter(_uniforms(seed))
    slots: list[tuple[int, float]] = []
    for _ in range(min(config.k, len(finite))):
        chosen = [at for at, _ in slots]
        left = [at for at in finite if at not in chosen]
        liftable = sum(young[at] for at in chosen) < config.young_slots
        utility = {
            at: math.exp(scores[at] - best_score) / mass
            + bonus.tail * tail[at]
            + bonus.young * (young[at] and liftable)
            + bonus.variety
            * (groups[at] != 0)
            * _bits(sum(groups[other] == groups[at] for other in chosen), k=config.k)
            for at in left
        }
        best = max(utility.values())
        if config.temperature == 0:
            pick, propensity = next(at for at in left if utility[at] == best), 1.0
        else:
            weights = {at: (utility[at] / best) ** (1 / config.temperature) for at in left}
            total = sum(weights.values())
            threshold = next(uniforms) * total
            for pick in left:
                threshold -= weights[pick]
                if threshold < 0:
                    break
            propensity = weights[pick] / total
        slots.append((pick, propensity))
    return slots


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    c=st.integers(1, 14),
    k=st.integers(1, 6),
    young_slots=st.integers(0, 3),
    temperature=st.sampled_from([0.0, 0.05, 0.7, 3.0]),
    bonus=st.sampled_from([Bonus(), Bonus(tail=0.2), Bonus(variety=0.5), Bonus(0.03, 0.1, 0.2)]),
    padding=st.floats(0, 1),
)
def test_the_kernel_equals_plain_python(
    seed: int, c: int, k: int, young_slots: int, temperature: float, bonus: Bonus, padding: float
) -> None:
    chance = np.random.default_rng(seed)
    config = SlateConfig(k=k, temperature=temperature, young_slots=young_slots)
    scores = chance.standard_normal((2, c)).astype(np.float32)
    scores[chance.random((2, c)) < padding * 0.7] = -np.inf
    tail, young = chance.random((2, c)) < 0.5, chance.random((2, c)) < 0.4
    groups = chance.integers(-2, 3, (2, c)).astype(np.int32)
    seeds = chance.integers(0, 2**64, 2, dtype=np.uint64)
    given_bonuses = (Bonus(), bonus)
    slates = make_slates(
        scores,
        tail=tail,
        young=young,
        groups=groups,
        bonuses=np.array([astuple(each) for each in given_bonuses], np.float32),
        seeds=seeds,
        config=config,
    )
    for u in range(2):
        expected = _reference(
            scores[u].tolist(),
            tail=tail[u].tolist(),
            young=young[u].tolist(),
            groups=groups[u].tolist(),
            bonus=given_bonuses[u],
            seed=int(seeds[u]),
            config=config,
        )
        padded = expected + [(-1, 0.0)] * (k - len(expected))
        assert slates.positions[u].tolist() == [slot[0] for slot in padded]
        np.testing.assert_allclose(slates.propensities[u], [slot[1] for slot in padded], rtol=1e-3)
