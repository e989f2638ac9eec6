"""Stochastic slates: slot by slot a draw over what is left, each slot with its propensity.

An item's utility is what it is worth to the shopper plus what it is worth to the shop:

    utility = p + tail * [long tail] + variety * (bits of category entropy it adds) + young * [young]

p is the item's share of the softmax over the scores of all candidates, the ranker's own odds. Added to odds, a
bonus changes nothing at the top, where odds are far apart, and decides the low slots, where they are nearly
alike: an item gives way only where that costs few hits, for whichever shopper and slot. (Subtracted from scores
in standard deviations, as in MMR, diversity costs each shopper alike, and several times as many hits.) It is
the intent-aware form of xQuAD (Santos et al., WWW 2010) with the entropy of the slate's categories, which has
diminishing returns, so that choosing greedily comes close to the best set (Nemhauser et al. 1978).

A slot is drawn with probability in proportion to utility^(1 / temperature): with no bonus this is the
Plackett-Luce distribution, the one that Gumbel top-k samples (Kool, van Hoof & Welling 2019). Utilities change
with every choice, so each slot draws afresh, and its propensity is exact given the slots before.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import ConfigError, InputError
from models.slate_kernel import fill_slates


@dataclass(frozen=True, slots=True)
class Bonus:
    """What the shop adds to an item's odds, as shares of one purchase: 0.004 is four expected hits in 1,000."""

    tail: float = 0.0  # of an item of the long tail
    variety: float = 0.0  # of one bit of category entropy
    young: float = 0.0  # of an item that few have touched: exploration

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigError(f"Bonus.{name} is {getattr(self, name)}; it must be finite and >= 0")

    def scaled(self, factor: float) -> "Bonus":
        """Every part times `factor`."""
        return Bonus(self.tail * factor, self.variety * factor, self.young * factor)


N_BONUSES = len(Bonus.__slots__)


@dataclass(frozen=True, slots=True)
class SlateConfig:
    """How slates are drawn.

    At temperature 0 the best utility wins every slot, ties by position, with propensity 1; at 0.05 an item of
    a tenth less utility is drawn an eighth as often. At most `young_slots` of a slate get the bonus of the young.
    """

    k: int = 10
    temperature: float = 0.05
    young_slots: int = 2

    def __post_init__(self) -> None:
        if self.k < 1 or self.young_slots < 0:
            raise ConfigError(
                f"SlateConfig k is {self.k}, young_slots {self.young_slots}; >= 1 and >= 0 are needed"
            )
        if not 0 <= self.temperature < math.inf:
            raise ConfigError(f"SlateConfig.temperature is {self.temperature}; it must be finite and >= 0")


@dataclass(frozen=True, slots=True)
class Slates:
    """B slates of k slots."""

    positions: NDArray[np.int32]  # (B, k) column of the chosen candidate, -1 where there was none left
    propensities: NDArray[np.float32]  # (B, k) its probability given the slots before, 0 where padding


def make_slates(
    scores: NDArray[np.float32],
    *,
    tail: NDArray[np.bool_],
    young: NDArray[np.bool_],
    groups: NDArray[np.int32],
    bonuses: NDArray[np.float32],
    seeds: NDArray[np.uint64],
    config: SlateConfig,
) -> Slates:
    """B slates of `config.k`, no candidate twice, decided by `seeds` alone.

    scores: (B, C) float32, logits of a softmax, -inf is padding; what is not finite is never chosen.
    tail, young: (B, C) bool. groups: (B, C) int32, what kind of thing each is; 0 unknown, which adds no variety.
    bonuses: (B, 3) float32 >= 0, the parts of `Bonus` in order; zeros are plain relevance. seeds: (B,) uint64.
    InputError for arrays whose shapes or dtypes do not fit, or a bonus that is negative or NaN.

    >>> scores = np.array([[3.0, 2.9, 0.0]], np.float32)
    >>> flags, groups = np.zeros((1, 3), np.bool_), np.array([[7, 7, 8]], np.int32)
    >>> for variety in (0.0, 2.0):
    ...     slates = make_slates(scores, tail=flags, young=flags, groups=groups,
    ...         bonuses=np.array([[0, variety, 0]], np.float32), seeds=np.zeros(1, np.uint64),
    ...         config=SlateConfig(k=2, temperature=0.0))
    ...     print(slates.positions.tolist())
    [[0, 1]]
    [[0, 2]]
    """
    b = _check(scores, tail=tail, young=young, groups=groups, bonuses=bonuses, seeds=seeds)
    out = Slates(
        positions=np.full((b, config.k), -1, dtype=np.int32),
        propensities=np.zeros((b, config.k), dtype=np.float32),
    )
    fill_slates(
        scores,
        tail,
        young,
        groups,
        bonuses,
        seeds,
        entropy_gains(config.k),
        config.young_slots,
        config.temperature,
        out.positions,
        out.propensities,
    )
    return out


@lru_cache(maxsize=64)
def entropy_gains(k: int) -> NDArray[np.float64]:
    """(k,) bits of entropy that the (m + 1)-th item of a group adds to a slate of k slots, at least 0.
    Asked for on every click, so not made anew. Not to be written to.

    >>> entropy_gains(4).tolist()  # the first of its kind adds half a bit, the second none
    [0.5, 0.0, 0.0, 0.0]
    """
    share = np.arange(1, k + 1) / k
    bits = np.concatenate([[0.0], -share * np.log2(share)])
    return np.maximum(np.diff(bits), 0.0)


def _check(
    scores: NDArray[np.float32],
    *,
    tail: NDArray[np.bool_],
    young: NDArray[np.bool_],
    groups: NDArray[np.int32],
    bonuses: NDArray[np.float32],
    seeds: NDArray[np.uint64],
) -> int:
    if scores.ndim != 2:
        raise InputError(f"scores have shape {scores.shape}; they must be (B, C)")
    b, c = (int(size) for size in scores.shape)
    expected: dict[str, tuple[NDArray[Any], tuple[int, ...], type]] = {
        "scores": (scores, (b, c), np.float32),
        "tail": (tail, (b, c), np.bool_),
        "young": (young, (b, c), np.bool_),
        "groups": (groups, (b, c), np.int32),
        "bonuses": (bonuses, (b, N_BONUSES), np.float32),
        "seeds": (seeds, (b,), np.uint64),
    }
    for name, (array, shape, dtype) in expected.items():
        if array.shape != shape or array.dtype != dtype:
            raise InputError(
                f"{name} is {array.dtype} of shape {array.shape}; expected {np.dtype(dtype)} of {shape}"
            )
    if b and not (bonuses >= 0).all():
        raise InputError(f"bonuses has {bonuses.min()}; it must be >= 0")
    return b
