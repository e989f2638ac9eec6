"""How sure a mean over a stream is: neighbours in time resemble each other, so whole blocks are redrawn.

Block bootstrap: Künsch (1989), The jackknife and the bootstrap for general stationary observations; here with
blocks that do not overlap (Carlstein 1986), which sums once and redraws sums.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

F64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class BootstrapConfig:
    """Blocks of equal numbers of units in time order, and how often they are redrawn."""

    blocks: int = 100
    draws: int = 2_000
    level: float = 0.95
    seed: int = 7

    def __post_init__(self) -> None:
        if self.blocks < 2 or self.draws < 100 or not 0 < self.level < 1:
            raise ValueError(
                f"BootstrapConfig has blocks {self.blocks}, draws {self.draws}, level {self.level}; "
                "expected >= 2, >= 100 and between 0 and 1"
            )


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its interval; `p` is two-sided, against a mean of 0."""

    mean: float
    low: float
    high: float
    p: float


def block_bootstrap(values: F64, *, config: BootstrapConfig) -> Estimate:
    """The mean of (n,) values in time order, its percentile interval and p; all nan where n is 0."""
    n = len(values)
    if n == 0:
        return Estimate(np.nan, np.nan, np.nan, np.nan)
    blocks = min(config.blocks, n)
    edges = np.linspace(0, n, blocks + 1).astype(np.int64)
    sums = np.add.reduceat(values, edges[:-1])
    sizes = np.diff(edges)
    rng = np.random.default_rng(config.seed)
    drawn = rng.multinomial(blocks, np.full(blocks, 1 / blocks), size=config.draws)  # (draws, blocks)
    means = (drawn @ sums) / (drawn @ sizes)
    tail = (1 - config.level) / 2
    low, high = np.quantile(means, [tail, 1 - tail])
    # Each side's share, with one draw added so that no p is 0 (Davison & Hinkley 1997, section 4.2).
    below, above = ((means <= 0).sum() + 1, (means >= 0).sum() + 1)
    p = min(1.0, 2 * min(below, above) / (config.draws + 1))
    return Estimate(float(values.mean()), float(low), float(high), float(p))
