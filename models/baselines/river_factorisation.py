"""river's factorisation model, taught one taken and some untaken items at a time."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from river import optim, reco


@dataclass(frozen=True, slots=True)
class RiverFactorisationConfig:
    """Size and step of river's model."""

    factors: int = 16
    learning_rate: float = 0.05
    l2: float = 0.001
    negatives: int = 1  # untaken items per taken one

    def __post_init__(self) -> None:
        for name in ("factors", "learning_rate", "negatives"):
            if not getattr(self, name) > 0:
                raise ValueError(
                    f"RiverFactorisationConfig.{name} is {getattr(self, name)}; it must be above 0"
                )
        if self.l2 < 0:
            raise ValueError(f"RiverFactorisationConfig.l2 is {self.l2}; it must be 0 or more")


class RiverFactorisation:
    """`river.reco.BiasedMF` (biases and factors by SGD; Koren et al., IEEE Computer 2009) on implicit feedback.

    It is made for ratings: a taken item is taught as 1, and for each, `negatives` items drawn uniformly from
    all learned so far as 0 (one may by chance be an item the user took).
    """

    def __init__(self, *, config: RiverFactorisationConfig, seed: int) -> None:
        self.config = config
        self._model = reco.BiasedMF(
            n_factors=config.factors,
            bias_optimizer=optim.SGD(config.learning_rate),
            latent_optimizer=optim.SGD(config.learning_rate),
            l2_bias=config.l2,
            l2_latent=config.l2,
            latent_initializer=optim.initializers.Normal(mu=0.0, sigma=0.1, seed=seed),
        )
        self._rng = np.random.default_rng(seed)
        self._items: list[int] = []
        self._known: set[int] = set()

    def learn(self, user: int, *, items: NDArray[np.int64]) -> None:
        """Takes in that the user took `items`: (n,) int64."""
        for item in items.tolist():
            if item not in self._known:
                self._known.add(item)
                self._items.append(item)
            self._model.learn_one(user, item, 1.0)  # type: ignore[no-untyped-call]
            for at in self._rng.integers(len(self._items), size=self.config.negatives).tolist():
                if self._items[at] != item:
                    self._model.learn_one(user, self._items[at], 0.0)  # type: ignore[no-untyped-call]

    def rank(self, user: int, *, candidates: NDArray[np.int64]) -> NDArray[np.int64]:
        """`candidates`: (C,) int64 distinct, by predicted preference, best first: (C,) int64."""
        scores = [
            self._model.predict_one(user, item)  # type: ignore[no-untyped-call]
            for item in candidates.tolist()
        ]
        return candidates[np.argsort(-np.array(scores), kind="stable")]
