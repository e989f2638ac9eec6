"""Stochastic slates: a sequential softmax over the best candidates, each slot with its propensity.

Slot by slot an item is drawn from softmax(utility / temperature) over the pool of best candidates not yet
chosen, where utility = relevance - lambda * (largest similarity to the items already chosen): MMR (Carbonell
& Goldstein 1998) made stochastic. With lambda 0 this is the Plackett-Luce distribution, the one that Gumbel
top-k samples (Kool, van Hoof & Welling 2019). One Gumbel draw per candidate for the whole slate would not do
here: utilities change with every choice, and the probability of a slot would no longer be the softmax. So
each slot draws afresh, and its propensity is exact given the slots before it.

Relevance is the score in standard deviations of the pool, so that lambda and temperature mean the same
whether the scores come from the whole ranker, from the wide part alone or from counts.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import ConfigError, InputError
from models.slate_kernel import fill_slates


@dataclass(frozen=True, slots=True)
class SlateConfig:
    """How slates are drawn. Temperatures are in standard deviations of the pool's scores.

    At temperature 0 the best utility wins every slot, ties by position, with propensity 1. The
    `explore_slots` (0-based) of an exploring slate are drawn among new items only, at `explore_temperature`;
    `inf` is uniform. New items are those of the pool and the best `explore_pool` beyond it.
    """

    k: int = 10
    pool: int = 50
    temperature: float = 0.05
    explore_slots: tuple[int, ...] = (4, 8)
    explore_pool: int = 32
    explore_temperature: float = 1.0

    def __post_init__(self) -> None:
        if self.k < 1 or self.pool < self.k:
            raise ConfigError(f"SlateConfig k is {self.k} and pool {self.pool}; 1 <= k <= pool is needed")
        if not 0 <= self.temperature < math.inf:
            raise ConfigError(f"SlateConfig.temperature is {self.temperature}; it must be finite and >= 0")
        if not self.explore_temperature >= 0:
            raise ConfigError(
                f"SlateConfig.explore_temperature is {self.explore_temperature}; 0 or more is needed"
            )
        if self.explore_pool < 0:
            raise ConfigError(f"SlateConfig.explore_pool is {self.explore_pool}; it must be >= 0")
        if any(not 0 <= slot < self.k for slot in self.explore_slots):
            raise ConfigError(f"SlateConfig.explore_slots is {self.explore_slots}; all must be < k {self.k}")


@dataclass(frozen=True, slots=True)
class Slates:
    """B slates of k slots."""

    positions: NDArray[np.int32]  # (B, k) column of the chosen candidate, -1 where there was none left
    propensities: NDArray[np.float32]  # (B, k) its probability given the slots before, 0 where padding
    explored: NDArray[np.bool_]  # (B, k) the slot was drawn among new items only


def make_slates(
    scores: NDArray[np.float32],
    *,
    items: NDArray[np.int32],
    is_new: NDArray[np.bool_],
    mmr_lambda: NDArray[np.float32],
    explore: NDArray[np.bool_],
    vectors: NDArray[np.float16],
    categories: NDArray[np.int32],
    seeds: NDArray[np.uint64],
    config: SlateConfig,
) -> Slates:
    """B slates of `config.k`, no candidate twice, decided by `seeds` alone.

    scores: (B, C) float32, -inf is padding; what is not finite is never chosen.
    items: (B, C) int32 item rows, for similarity. is_new: (B, C) bool, what exploration may lift.
    mmr_lambda: (B,) float32 >= 0, 0 is plain relevance. explore: (B,) bool. seeds: (B,) uint64.
    vectors: (N, D) float16 of unit length, zeros where an item has no text.
    categories: (N,) int32, 0 unknown; used where a vector is missing.

    Similarity is the cosine of the vectors, at least 0; where one has none, 0.5 within a category, else 0.
    InputError for arrays whose shapes or dtypes do not fit, a negative lambda, or an item row beyond N.
    """
    b, _ = _check(scores, items, is_new, mmr_lambda, explore, vectors, categories, seeds)
    explore_slot = np.zeros(config.k, dtype=np.bool_)
    explore_slot[list(config.explore_slots)] = True
    out = Slates(
        positions=np.full((b, config.k), -1, dtype=np.int32),
        propensities=np.zeros((b, config.k), dtype=np.float32),
        explored=np.zeros((b, config.k), dtype=np.bool_),
    )
    fill_slates(
        scores,
        items,
        is_new,
        mmr_lambda,
        explore,
        vectors.view(np.uint16),
        categories,
        seeds,
        config.pool,
        config.explore_pool,
        explore_slot,
        config.temperature,
        config.explore_temperature,
        out.positions,
        out.propensities,
        out.explored,
    )
    return out


def _check(
    scores: NDArray[np.float32],
    items: NDArray[np.int32],
    is_new: NDArray[np.bool_],
    mmr_lambda: NDArray[np.float32],
    explore: NDArray[np.bool_],
    vectors: NDArray[np.float16],
    categories: NDArray[np.int32],
    seeds: NDArray[np.uint64],
) -> tuple[int, int]:
    if scores.ndim != 2:
        raise InputError(f"scores have shape {scores.shape}; they must be (B, C)")
    b, c = scores.shape
    n = len(vectors)
    expected: dict[str, tuple[NDArray[Any], tuple[int, ...], type]] = {
        "scores": (scores, (b, c), np.float32),
        "items": (items, (b, c), np.int32),
        "is_new": (is_new, (b, c), np.bool_),
        "mmr_lambda": (mmr_lambda, (b,), np.float32),
        "explore": (explore, (b,), np.bool_),
        "vectors": (vectors, (n, *vectors.shape[1:2]), np.float16),
        "categories": (categories, (n,), np.int32),
        "seeds": (seeds, (b,), np.uint64),
    }
    for name, (array, shape, dtype) in expected.items():
        if array.shape != shape or array.dtype != dtype:
            raise InputError(
                f"{name} is {array.dtype} of shape {array.shape}; expected {np.dtype(dtype)} of {shape}"
            )
    if not vectors.flags.c_contiguous:
        raise InputError("vectors must be C-contiguous: they are read in place")
    if b and c and not 0 <= int(items.min()) <= int(items.max()) < n:
        raise InputError(f"items has rows {items.min()}..{items.max()}; they must be in 0..{n - 1}")
    if b and not (mmr_lambda >= 0).all():
        raise InputError(f"mmr_lambda has {mmr_lambda.min()}; it must be >= 0")
    return b, c
