"""What the wide part reads of raw features: standardised online, and as z-scores within their slate."""

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from models.errors import ConfigError, InputError


@dataclass(frozen=True, slots=True)
class SlateStatistics:
    """Mean and standard deviation of each feature over the candidates of each slate; sd 0 where constant."""

    mean: NDArray[np.float32]  # (B, F)
    sd: NDArray[np.float32]  # (B, F)


class Standardiser:
    """Running mean and variance of F features, of the rows it learnt from; O(F) memory.

    Exact (Chan, Golub and LeVeque 1979, the batch form of Welford's method) up to `memory_rows` rows; from
    then on older rows fade as 1/memory_rows, so that it follows a stream that drifts.
    """

    def __init__(self, n_features: int, *, memory_rows: int = 500_000, clip: float = 8.0) -> None:
        if n_features < 1 or memory_rows < 2 or not clip > 0:
            raise ConfigError(
                f"n_features {n_features} must be >= 1, memory_rows {memory_rows} >= 2, clip {clip} > 0"
            )
        self._memory_rows = memory_rows
        self.clip = clip
        self.rows = np.zeros((), np.float64)
        self.mean = np.zeros(n_features, np.float64)
        self.variance = np.ones(n_features, np.float64)

    def learn(self, features: NDArray[np.float32], *, valid: NDArray[np.bool_]) -> None:
        """Fold in the valid rows of `features` (B, C, F); `valid` is (B, C)."""
        rows, mean, variance = _moments(features, valid)
        if rows == 0:
            return
        before = float(self.rows)
        kept = min(before, max(0.0, float(self._memory_rows) - rows))
        total = kept + rows
        shift = mean - self.mean
        old = self.variance if before else np.zeros_like(self.variance)
        self.variance = (old * kept + variance * rows + shift * shift * (kept * rows / total)) / total
        self.mean = self.mean + shift * (rows / total)
        self.rows = np.asarray(total, np.float64)

    def scale(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(F,) mean and (F,) 1/sd; 1/sd is 0 for a feature that never varied, so that it reads as 0."""
        mean = np.empty(len(self.mean), np.float32)
        inverse = np.zeros(len(self.mean), np.float32)
        _scale(self.mean, self.variance, mean, inverse)
        return mean, inverse


def wide_inputs(
    features: NDArray[np.float32], *, valid: NDArray[np.bool_], standardiser: Standardiser
) -> tuple[NDArray[np.float32], SlateStatistics]:
    """(R, 2F) inputs of the R valid candidates in slate order, and the slates' statistics.

    The first F columns are (x - mean) / sd over the stream, clipped; the last F the same over the slate,
    bounded by sqrt(C - 1) by themselves, and 0 where the slate's candidates do not differ.
    `features`: (B, C, F) float32; `valid`: (B, C). Raises InputError when a valid candidate has a feature
    that is not finite.
    """
    mean, inverse = standardiser.scale()
    rows = int(np.count_nonzero(valid))
    inputs = np.empty((rows, 2 * features.shape[2]), np.float32)
    slates = SlateStatistics(
        np.empty((len(features), features.shape[2]), np.float32),
        np.empty((len(features), features.shape[2]), np.float32),
    )
    finite = _fill_inputs(
        features, valid, mean, inverse, np.float32(standardiser.clip), inputs, slates.mean, slates.sd
    )
    if not finite:
        raise InputError(f"features of {_not_finite(features, valid)} are not finite")
    return inputs, slates


def inputs_from_z(
    z: NDArray[np.float32], *, slates: SlateStatistics, standardiser: Standardiser
) -> NDArray[np.float32]:
    """(n, K, 2F) inputs of candidates kept as z-scores `z` (n, K, F) with the statistics of their n slates.

    The raw features are z·sd + mean, so today's standardiser applies to yesterday's candidates.
    """
    mean, inverse = standardiser.scale()
    raw = z * slates.sd[:, None, :] + slates.mean[:, None, :]
    standard = np.clip((raw - mean) * inverse, -standardiser.clip, standardiser.clip)
    return np.concatenate([standard, z], axis=2).astype(np.float32, copy=False)


def _not_finite(features: NDArray[np.float32], valid: NDArray[np.bool_]) -> str:
    bad = np.argwhere(~np.isfinite(features) & valid[:, :, None])
    user, candidate, feature = (int(index) for index in bad[0])
    value = features[user, candidate, feature]
    return f"{len(bad)} places, first user {user}, candidate {candidate}, feature {feature} ({value}),"


@numba.njit(nogil=True, cache=True)
def _scale(
    mean: NDArray[np.float64],
    variance: NDArray[np.float64],
    mean32: NDArray[np.float32],
    inverse32: NDArray[np.float32],
) -> None:
    """Fill `mean32`, and `inverse32` (zeros on entry), as `Standardiser.scale` says."""
    for f in range(len(mean)):
        mean32[f] = np.float32(mean[f])
        sd = np.sqrt(variance[f])
        if sd > 1e-6 * abs(mean[f]) + 1e-12:
            inverse32[f] = np.float32(1.0 / sd)


@numba.njit(nogil=True, cache=True)
def _moments(
    features: NDArray[np.float32], valid: NDArray[np.bool_]
) -> tuple[int, NDArray[np.float64], NDArray[np.float64]]:
    n_users, n_candidates, n_features = features.shape
    mean = np.zeros(n_features, np.float64)
    variance = np.zeros(n_features, np.float64)
    rows = 0
    for b in range(n_users):
        for c in range(n_candidates):
            if valid[b, c]:
                rows += 1
                for f in range(n_features):
                    mean[f] += features[b, c, f]
    if rows:
        mean /= rows
        for b in range(n_users):
            for c in range(n_candidates):
                if valid[b, c]:
                    for f in range(n_features):
                        away = features[b, c, f] - mean[f]
                        variance[f] += away * away
        variance /= rows
    return rows, mean, variance


@numba.njit(nogil=True, cache=True)
def _fill_inputs(
    features: NDArray[np.float32],
    valid: NDArray[np.bool_],
    stream_mean: NDArray[np.float32],
    stream_inverse: NDArray[np.float32],
    clip: np.float32,
    inputs: NDArray[np.float32],
    slate_mean: NDArray[np.float32],
    slate_sd: NDArray[np.float32],
) -> bool:
    """Fill the outputs in one pass over memory per slate; False when a valid feature is not finite."""
    n_users, n_candidates, n_features = features.shape
    mean = np.empty(n_features, np.float64)
    variance = np.empty(n_features, np.float64)
    mean32 = np.empty(n_features, np.float32)
    inverse32 = np.empty(n_features, np.float32)
    finite = True
    row = 0
    for b in range(n_users):
        mean[:] = 0.0
        variance[:] = 0.0
        rows = 0
        for c in range(n_candidates):
            if valid[b, c]:
                rows += 1
                raw = features[b, c]
                for f in range(n_features):
                    mean[f] += raw[f]
        if rows:
            for f in range(n_features):
                mean[f] /= rows
        for c in range(n_candidates):
            if valid[b, c]:
                raw = features[b, c]
                for f in range(n_features):
                    away = raw[f] - mean[f]
                    variance[f] += away * away
        for f in range(n_features):
            if rows:
                variance[f] /= rows
            if not np.isfinite(variance[f]):
                finite = False
            mean32[f] = np.float32(mean[f])
            inverse32[f] = np.float32(0.0)
            slate_mean[b, f] = mean32[f]
            slate_sd[b, f] = np.float32(0.0)
            if variance[f] > 1e-12 * mean[f] * mean[f] + 1e-24:
                sd = np.sqrt(variance[f])
                slate_sd[b, f] = np.float32(sd)
                inverse32[f] = np.float32(1.0 / sd)
        for c in range(n_candidates):
            if valid[b, c]:
                raw, by_stream, by_slate = features[b, c], inputs[row, :n_features], inputs[row, n_features:]
                for f in range(n_features):  # two plain loops over rows of memory, which become vector code
                    standard = (raw[f] - stream_mean[f]) * stream_inverse[f]
                    standard = clip if standard > clip else standard
                    by_stream[f] = -clip if standard < -clip else standard
                for f in range(n_features):
                    by_slate[f] = (raw[f] - mean32[f]) * inverse32[f]
                row += 1
    return finite
