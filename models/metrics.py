"""Rank metrics at k of units, and their means over a sliding window: progressive validation, test then train.

Blum, Kalai and Langford (1999), Beating the hold-out; Gama, Sebastião and Rodrigues (2013), On evaluating
stream learning algorithms.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.errors import ConfigError, InputError
from models.metrics_kernel import fill_metrics
from models.state import Arrays, check_arrays

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class UnitMetrics:
    """One number a unit, each (B,) float32 in 0..1."""

    recall: Floats  # hits / min(k, relevant)
    ndcg: Floats  # binary gains
    mrr: Floats  # 1 / rank of the first hit within k, else 0
    hit: Floats  # 1 when there is a hit within k


def rank_metrics(
    scores: Floats, *, gains: Floats, k: int = 20, relevant: NDArray[np.int64] | None = None
) -> UnitMetrics:
    """Recall, NDCG, MRR and hit rate at k of each unit; ties go to the lower column.

    `scores`: (B, C) float32, -inf at padding; `gains`: (B, C) float32, positive where relevant;
    `relevant`: (B,) how many relevant items there are in all, also outside the candidates (default: those
    among them). A unit with nothing relevant gets zeros.

    >>> scores, gains = np.array([[3.0, 2.0, 1.0]], np.float32), np.array([[0.0, 1.0, 0.0]], np.float32)
    >>> rank_metrics(scores, gains=gains, k=2).mrr
    array([0.5], dtype=float32)
    """
    if scores.shape != gains.shape or k < 1:
        raise InputError(f"scores {scores.shape} and gains {gains.shape} must be alike, and k {k} at least 1")
    b = len(scores)
    if relevant is None:
        relevant = (gains > 0).sum(1)
    if relevant.shape != (b,):
        raise InputError(f"relevant {relevant.shape} must be ({b},), one for each row of the scores")
    made = UnitMetrics(
        np.empty(b, np.float32), np.empty(b, np.float32), np.empty(b, np.float32), np.empty(b, np.float32)
    )
    fill_metrics(
        np.ascontiguousarray(scores), np.ascontiguousarray(gains), np.ascontiguousarray(relevant, np.int64), k,
        made.recall, made.ndcg, made.mrr, made.hit,
    )  # fmt: skip
    return made


class SlidingWindow:
    """The last `size` numbers and their mean; memory is allocated once."""

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ConfigError(f"a window's size is {size}; it must be at least 1")
        self._ring = np.zeros(size, np.float64)
        self._seen = 0

    def push(self, values: NDArray[np.floating]) -> None:
        """Add values in order; the oldest fall out."""
        size, n = len(self._ring), len(values)
        first = self._seen % size
        if first + n <= size:
            self._ring[first : first + n] = values
        else:
            kept = values[-size:]
            first = self._seen + n - len(kept)
            self._ring[(first + np.arange(len(kept))) % size] = kept
        self._seen += n

    def __len__(self) -> int:
        return min(self._seen, len(self._ring))

    @property
    def mean(self) -> float:
        """The mean, 0.0 while empty."""
        return float(self._ring[: len(self)].mean()) if self._seen else 0.0

    @property
    def standard_error(self) -> float:
        """Of the mean, for independent values; infinite below two values."""
        n = len(self)
        return float(self._ring[:n].std(ddof=1) / np.sqrt(n)) if n > 1 else float("inf")

    def snapshot(self) -> Arrays:
        return {"ring": self._ring.copy(), "seen": np.array(self._seen, np.int64)}

    def restore(self, arrays: Arrays) -> None:
        """Take `snapshot`'s arrays; InputError when they are of another size."""
        check_arrays(arrays, expected=self.snapshot())
        self._ring = arrays["ring"].astype(np.float64)
        self._seen = int(arrays["seen"])
