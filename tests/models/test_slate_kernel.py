"""The compiled slate loop equals plain Python on random users."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.slate import SlateConfig, make_slates

_M = (1 << 64) - 1


def _vectors(n: int, d: int, *, seed: int) -> NDArray[np.float16]:
    raw = np.random.default_rng(seed).standard_normal((n, d))
    raw[0] = 0
    raw[1:] /= np.linalg.norm(raw[1:], axis=1, keepdims=True)
    return raw.astype(np.float16)


def _uniforms(seed: int) -> "list[float]":
    """The first 100 uniforms of splitmix64."""
    out, state = [], seed
    for _ in range(100):
        state = state + 0x9E3779B97F4A7C15 & _M
        mixed = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & _M
        mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & _M
        out.append(((mixed ^ mixed >> 31) >> 11) / 2**53)
    return out


def _reference(
    scores: list[float],
    *,
    items: list[int],
    is_new: list[bool],
    mmr_lambda: float,
    explore: bool,
    vectors: NDArray[np.float64],
    categories: list[int],
    seed: int,
    config: SlateConfig,
) -> list[tuple[int, float, bool]]:
    """One slate in plain Python: (position, propensity, explored) of each slot filled."""

    def similarity(a: int, b: int) -> float:
        va, vb = vectors[items[a]], vectors[items[b]]
        if va.any() and vb.any():
            return float(va @ vb)
        same = categories[items[a]] > 0 and categories[items[a]] == categories[items[b]]
        return 0.5 if same else 0.0

    ranked = sorted(
        (at for at in range(len(scores)) if math.isfinite(scores[at])), key=lambda at: -scores[at]
    )
    pool = ranked[: config.pool]
    beyond = [at for at in ranked[config.pool :] if explore and is_new[at]][: config.explore_pool]
    if not pool:
        return []
    spread = float(np.std([scores[at] for at in pool]))
    scale = spread if spread > 1e-6 else 1.0
    uniforms = iter(_uniforms(seed))
    chosen: list[int] = []
    slots = []
    for slot in range(config.k):
        fresh = [at for at in pool + beyond if is_new[at] and at not in chosen]
        lifts = explore and slot in config.explore_slots and bool(fresh)
        left = fresh if lifts else [at for at in pool if at not in chosen]
        if not left:
            break
        heat = config.explore_temperature if lifts else config.temperature
        utility = {
            at: scores[at] / scale - mmr_lambda * max([0.0, *(similarity(at, other) for other in chosen)])
            for at in left
        }
        best = max(utility.values())
        if heat == 0:
            pick, propensity = next(at for at in left if utility[at] == best), 1.0
        else:
            weights = {at: math.exp((utility[at] - best) / heat) for at in left}
            total = sum(weights.values())
            threshold = next(uniforms) * total
            for pick in left:
                threshold -= weights[pick]
                if threshold < 0:
                    break
            propensity = weights[pick] / total
        chosen.append(pick)
        slots.append((pick, propensity, lifts))
    return slots


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    c=st.integers(1, 14),
    k=st.integers(1, 6),
    extra=st.integers(0, 5),
    explore_pool=st.integers(0, 4),
    temperature=st.sampled_from([0.0, 0.05, 0.7, 3.0]),
    explore_temperature=st.sampled_from([0.0, 1.0, math.inf]),
    mmr_lambda=st.sampled_from([0.0, 0.3, 2.0]),
    explore=st.booleans(),
    padding=st.floats(0, 1),
)
def test_the_kernel_equals_plain_python(
    seed: int,
    c: int,
    k: int,
    extra: int,
    explore_pool: int,
    temperature: float,
    explore_temperature: float,
    mmr_lambda: float,
    explore: bool,
    padding: float,
) -> None:
    chance = np.random.default_rng(seed)
    config = SlateConfig(
        k=k,
        pool=k + extra,
        temperature=temperature,
        explore_slots=tuple(range(0, k, 2)),
        explore_pool=explore_pool,
        explore_temperature=explore_temperature,
    )
    n = 20
    vectors = _vectors(n, 24, seed=seed)
    vectors[chance.random(n) < 0.3] = 0
    categories = chance.integers(0, 3, n).astype(np.int32)
    scores = chance.standard_normal((2, c)).astype(np.float32)
    scores[chance.random((2, c)) < padding * 0.7] = -np.inf
    items = np.stack([chance.permutation(np.arange(1, n))[:c] for _ in range(2)]).astype(np.int32)
    is_new = chance.random((2, c)) < 0.4
    seeds = chance.integers(0, 2**64, 2, dtype=np.uint64)
    strength = np.array([0, mmr_lambda], np.float32)
    slates = make_slates(
        scores,
        items=items,
        is_new=is_new,
        mmr_lambda=strength,
        explore=np.array([explore, explore]),
        vectors=vectors,
        categories=categories,
        seeds=seeds,
        config=config,
    )
    for u in range(2):
        expected = _reference(
            scores[u].tolist(),
            items=items[u].tolist(),
            is_new=is_new[u].tolist(),
            mmr_lambda=float(strength[u]),
            explore=explore,
            vectors=vectors.astype(np.float64),
            categories=categories.tolist(),
            seed=int(seeds[u]),
            config=config,
        )
        padded = expected + [(-1, 0.0, False)] * (k - len(expected))
        assert slates.positions[u].tolist() == [slot[0] for slot in padded]
        np.testing.assert_allclose(slates.propensities[u], [slot[1] for slot in padded], rtol=1e-3)
        assert slates.explored[u].tolist() == [slot[2] for slot in padded]
