"""What a batch's candidates turned out to be worth: the side of training that serving never sees."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.errors import InputError


@dataclass(frozen=True, slots=True)
class Targets:
    """Of B units and C candidates."""

    gains: NDArray[np.float32]  # (B, C) >= 0, positive where relevant
    logq: NDArray[np.float32] | None = None  # (B, C) log-probability of having been sampled
    labels: NDArray[np.float32] | None = None  # (B, C, 3) clicked, carted, bought

    def check(self, shape: tuple[int, ...]) -> None:
        """Raise InputError unless the arrays fit candidates of `shape` (B, C)."""
        if self.gains.shape != shape or not np.isfinite(self.gains).all() or (self.gains < 0).any():
            raise InputError(f"gains {self.gains.shape} must be {shape}, finite and >= 0")
        if self.logq is not None and self.logq.shape != shape:
            raise InputError(f"logq {self.logq.shape} must be {shape}")
        if self.labels is not None and self.labels.shape != (*shape, 3):
            raise InputError(f"labels {self.labels.shape} must be {(*shape, 3)}")

    def take(self, users: NDArray[np.int64]) -> "Targets":
        """Those of some units (n,)."""
        return Targets(
            self.gains[users],
            None if self.logq is None else self.logq[users],
            None if self.labels is None else self.labels[users],
        )

    def columns(self, chosen: NDArray[np.int64]) -> "Targets":
        """Those of some candidates of each unit: columns `chosen` (B, K)."""
        at = (np.arange(len(chosen))[:, None], chosen)
        return Targets(
            self.gains[at],
            None if self.logq is None else self.logq[at],
            None if self.labels is None else self.labels[at],
        )
