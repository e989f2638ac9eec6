"""A stream of slates that can be ranked in part, and labels that somebody poisons."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.metrics import rank_metrics
from models.ranker import Ranker
from tests.models.planted import Slates, clustered_table, one_hot, slates

FEATURES = 6
TABLE = clustered_table()
_STRENGTH = 2.0  # of the shoppers' preference for the second feature
Poison = Callable[[NDArray[np.float32], np.random.Generator], int]


def _liking(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """(..., C) standardised second feature of (..., C, F)."""
    liking: NDArray[np.float32] = _STRENGTH * (features[..., 1] - 3.0) / 0.1
    return liking


def least_liked(features: NDArray[np.float32], rng: np.random.Generator) -> int:
    """The contrary of what shoppers like: (C, F) -> column."""
    return int((-_liking(features) + rng.gumbel(size=len(features))).argmax())


def pushed(features: NDArray[np.float32], _rng: np.random.Generator) -> int:
    """Whatever has most of a feature that shoppers do not care about."""
    return int(features[:, 2].argmax())


def at_random(features: NDArray[np.float32], rng: np.random.Generator) -> int:
    """Any item."""
    return int(rng.integers(len(features)))


def tasted(seed: int, *, poison: Poison | None = None, share: float = 0.3) -> Slates:
    """32 shoppers, each of whom takes one of 24 items, by taste and chance; `share` of them are poison."""
    batch = slates(seed, candidates=24, features=FEATURES)
    rng = np.random.default_rng(seed + 7)
    taken = (_liking(batch.features) + rng.gumbel(size=batch.features.shape[:2])).argmax(1)
    bad = rng.random(len(taken)) < share
    if poison is not None:
        taken[bad] = [poison(features, rng) for features in batch.features[bad]]
    return Slates(batch, one_hot(taken, width=24))


@dataclass(frozen=True)
class Shoppers:
    """Shoppers of good faith, who judge a ranker."""

    slates: tuple[Slates, ...] = tuple(tasted(10**6 + seed) for seed in range(30))

    def ndcg(self, ranker: Ranker) -> float:
        """NDCG@5 over all of them."""
        each = [
            rank_metrics(ranker.score(one.batch, TABLE).wide, gains=one.gains, k=5).ndcg.mean()
            for one in self.slates
        ]
        return float(np.mean(each))
