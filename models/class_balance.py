"""Class-balanced weights: what is bought rarely teaches more.

Cui et al. (2019), Class-balanced loss based on effective number of samples.
"""

import numpy as np
from numpy.typing import NDArray

from models.errors import ConfigError
from models.state import Arrays, check_arrays

_BUCKETS = 1 << 16


class ClassBalance:
    """Counts how often each item was right, and weighs a positive by the inverse of its item's effective number.

    An item seen n times has the effective number (1 - beta^n) / (1 - beta): n while n is far below 1 / (1 -
    beta), and at most that. Items share 65,536 counters by their hash, so memory is flat; two items of one
    counter look a little more popular than they are.
    """

    def __init__(self, beta: float) -> None:
        if not 0 < beta < 1:
            raise ConfigError(f"class balance beta is {beta}; it must be between 0 and 1, both excluded")
        self._beta = beta
        self._counts = np.zeros(_BUCKETS, np.int64)

    def weigh(self, gains: NDArray[np.float32], *, hashes: NDArray[np.int64]) -> NDArray[np.float32]:
        """(B, C) gains times their items' weights, whose mean over the positives of the batch is 1.

        `gains`, `hashes`: (B, C), of the candidates. Counts the positives first: a new item weighs as seen once.
        """
        buckets = (hashes.view(np.uint64) % np.uint64(_BUCKETS)).astype(np.int64)
        positive = gains > 0
        np.add.at(self._counts, buckets[positive], 1)
        if not positive.any():
            return gains
        seen = self._counts[buckets[positive]]
        weights = (1.0 - self._beta) / -np.expm1(seen * np.log(self._beta))
        weighed = gains.copy()
        weighed[positive] *= (weights / weights.mean()).astype(np.float32)
        return weighed

    def snapshot(self) -> Arrays:
        """The counts, copied."""
        return {"counts": self._counts.copy()}

    def restore(self, arrays: Arrays) -> None:
        """Take `snapshot`'s arrays; InputError, and nothing changed, when they do not fit."""
        check_arrays(arrays, expected=self.snapshot())
        self._counts = arrays["counts"].astype(np.int64)
