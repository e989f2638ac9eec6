"""ADWIN: a window over a stream that shrinks to what came after the last change of its mean.

Bifet and Gavaldà (2007), Learning from time-changing data with adaptive windowing. River's is the same
method; this one keeps its whole state in three arrays, so that it goes into a snapshot and comes back exact.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.errors import ConfigError, InputError
from models.state import Arrays, check_arrays

_BUCKETS = 320  # at most 5 of a size and one that is on its way: sizes up to 2 ** 52
_SAME_SIZE = 5  # buckets of one size before two of them become one of twice the size


@dataclass(frozen=True, slots=True)
class AdwinConfig:
    """When a change counts. `delta` bounds the chance of a false alarm of one look at the window."""

    delta: float = 0.002
    check_every: int = 32  # values
    least_side: int = 5  # values on either side of a change

    def __post_init__(self) -> None:
        if not 0 < self.delta < 1 or self.check_every < 1 or self.least_side < 1:
            raise ConfigError(
                f"AdwinConfig needs 0 < delta < 1 (got {self.delta}), check_every >= 1 "
                f"(got {self.check_every}) and least_side >= 1 (got {self.least_side})"
            )


class Adwin:
    """Mean of the present regime. Memory grows with the logarithm of the window and is allocated once.

    >>> adwin = Adwin(AdwinConfig())
    >>> [adwin.update(value) for value in [0.0] * 64 + [1.0] * 64].count(0.0)
    127
    >>> adwin.width < 100
    True
    """

    def __init__(self, config: AdwinConfig) -> None:
        self.config = config
        self._sizes: list[float] = []  # of each bucket, oldest first; powers of two that never rise
        self._totals: list[float] = []
        self._squares: list[float] = []
        self._seen = 0

    @property
    def width(self) -> int:
        """Values in the window."""
        return int(sum(self._sizes))

    @property
    def mean(self) -> float:
        """Of the window; 0.0 while empty."""
        return sum(self._totals) / self.width if self._sizes else 0.0

    def update(self, value: float) -> float:
        """Take a value; how much the mean changed where the window was cut, 0.0 where it was not.

        InputError for a value that is not finite.
        """
        if not np.isfinite(value):
            raise InputError(f"ADWIN got {value}; it must be finite")
        self._sizes.append(1.0)
        self._totals.append(value)
        self._squares.append(value * value)
        self._merge()
        self._seen += 1
        change = 0.0
        if self._seen % self.config.check_every == 0:
            while cut := self._cut():
                change = cut
                for part in (self._sizes, self._totals, self._squares):
                    del part[0]  # the oldest only: what is left may be of one piece
        return change

    def _merge(self) -> None:
        """Keep at most `_SAME_SIZE` buckets of a size, by adding up the two oldest of one."""
        end = len(self._sizes)
        while True:
            size = self._sizes[end - 1]
            start = end
            while start > 0 and self._sizes[start - 1] == size:
                start -= 1
            if end - start <= _SAME_SIZE:
                return
            for part in (self._sizes, self._totals, self._squares):
                part[start] += part.pop(start + 1)
            end = start + 1

    def _cut(self) -> float:
        """The new mean less the old one at the first place, from the oldest on, where they differ more than
        chance allows; 0.0 if nowhere."""
        if len(self._sizes) < 2:
            return 0.0
        least = self.config.least_side
        sizes, totals = np.array(self._sizes, np.float64), np.array(self._totals)
        width, total = sizes.sum(), totals.sum()
        old, old_total = np.cumsum(sizes)[:-1], np.cumsum(totals)[:-1]  # (cuts,)
        new = width - old
        change = (total - old_total) / new - old_total / old
        variance = max(float(np.sum(self._squares)) / width - (total / width) ** 2, 0.0)
        confidence = np.log(2 * np.log(max(width, np.e)) / self.config.delta)
        allowed = (old >= least) & (new >= least)
        # One over the harmonic mean; the -least + 1 is river's, which is a little more careful than the paper.
        share = 1 / np.maximum(old - least + 1, 1) + 1 / np.maximum(new - least + 1, 1)
        bound = np.sqrt(2 * share * variance * confidence) + 2 / 3 * confidence * share
        beyond = np.flatnonzero(allowed & (np.abs(change) > bound))
        return float(change[beyond[0]]) if len(beyond) else 0.0

    def snapshot(self) -> Arrays:
        """Everything, copied, in arrays whose shapes never change."""
        table = np.zeros((3, _BUCKETS), np.float64)
        table[:, : len(self._sizes)] = np.array([self._sizes, self._totals, self._squares])
        return {"buckets": table, "seen": np.array(self._seen, np.int64)}

    def restore(self, arrays: Arrays) -> None:
        """Take `snapshot`'s arrays; InputError, and nothing changed, when they do not fit."""
        check_arrays(arrays, expected=self.snapshot())
        table: NDArray[np.float64] = arrays["buckets"].astype(np.float64)
        held = int((table[0] > 0).sum())
        self._sizes, self._totals, self._squares = table[:, :held].tolist()
        self._seen = int(arrays["seen"])
