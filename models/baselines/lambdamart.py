"""LambdaMART: trees that rank slates, grown anew from the latest units.

Burges (2010), From RankNet to LambdaRank to LambdaMART: An Overview; the trees are those of Ke et al. (2017),
LightGBM.
"""

import importlib
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import ConfigError, InputError, ModelLoadError


@dataclass(frozen=True, slots=True)
class LambdaMartConfig:
    """The trees, and what a fit reads."""

    leaves: int = 31
    rounds: int = 120
    learning_rate: float = 0.1
    units: int = 6000  # the latest units with a positive among their candidates
    threads: int = 1  # of a fit; the same trees with any number

    def __post_init__(self) -> None:
        if self.leaves < 2 or min(self.rounds, self.units, self.threads) < 1:
            raise ConfigError(
                f"LambdaMartConfig: leaves {self.leaves} must be >= 2, rounds {self.rounds}, "
                f"units {self.units} and threads {self.threads} >= 1"
            )
        if not 0 < self.learning_rate <= 1:
            raise ConfigError(f"LambdaMartConfig.learning_rate is {self.learning_rate}; it must be in (0, 1]")


class LambdaMart:
    """Remembers the latest units, and scores by the trees of the last `fit`. The same units and seed give the
    same trees. ModelLoadError where LightGBM is not installed."""

    def __init__(self, config: LambdaMartConfig, *, seed: int) -> None:
        self.config = config
        self._lightgbm = _lightgbm()
        self._seed = seed
        self._rows: deque[NDArray[np.float32]] = deque(maxlen=config.units)  # each (n, F)
        self._gains: deque[NDArray[np.float32]] = deque(maxlen=config.units)  # each (n,)
        self._booster: Any = None

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def fitted(self) -> bool:
        """Whether there are trees to score by."""
        return self._booster is not None

    def add(
        self, features: NDArray[np.float32], *, gains: NDArray[np.float32], valid: NDArray[np.bool_]
    ) -> None:
        """Remember those of B units that have a positive among their candidates.

        `features`: (B, C, F) float32; `gains`: (B, C) 0 or 1; `valid`: (B, C), False at padding.
        """
        if features.shape[:2] != gains.shape or gains.shape != valid.shape:
            raise InputError(f"features {features.shape}, gains {gains.shape} and valid {valid.shape} differ")
        for unit in np.flatnonzero(((gains > 0) & valid).any(1)):
            self._rows.append(features[unit, valid[unit]])
            self._gains.append(gains[unit, valid[unit]])

    def fit(self) -> None:
        """Grow new trees from what is remembered; without any, nothing changes."""
        if not self._rows:
            return
        data = self._lightgbm.Dataset(
            list(self._rows),
            label=np.concatenate(self._gains),
            group=[len(rows) for rows in self._rows],
            params={"verbosity": -1},
        )
        parameters = {
            "objective": "lambdarank",
            "num_leaves": self.config.leaves,
            "learning_rate": self.config.learning_rate,
            "num_threads": self.config.threads,
            "seed": self._seed,
            "deterministic": True,
            "force_col_wise": True,  # else it times both ways, and picks by the clock
            "verbosity": -1,
        }
        self._booster = self._lightgbm.train(parameters, data, num_boost_round=self.config.rounds)

    def score(self, features: NDArray[np.float32], *, valid: NDArray[np.bool_]) -> NDArray[np.float32]:
        """(B, C) float32, -inf at padding. InputError before the first fit."""
        if self._booster is None:
            raise InputError("no trees yet: fit first")
        scores = np.full(valid.shape, -np.inf, np.float32)
        if valid.any():
            scores[valid] = self._booster.predict(features[valid], num_threads=1)
        return scores


def _lightgbm() -> Any:
    try:
        return importlib.import_module("lightgbm")
    except ImportError as error:
        raise ModelLoadError(
            "this baseline needs the package lightgbm, which is not installed: "
            'pip install "headwater[bench]", or leave the baseline out of --models'
        ) from error
