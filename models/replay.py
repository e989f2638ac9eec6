"""A bounded memory of training units: the latest ones, and a uniform sample of all the earlier ones.

Vitter (1985), Random sampling with a reservoir.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.errors import ConfigError, InputError
from models.features_scaler import SlateStatistics
from models.ranker import WideView
from models.state import Arrays, check_arrays, generator_from_array, generator_to_array

_UNIT_ARRAYS = ("z", "mean", "sd", "gains", "logq", "valid")


@dataclass(frozen=True, slots=True)
class ReplayConfig:
    """How much is remembered of the past."""

    recent: int = 4096  # the latest units
    reservoir: int = 4096  # units sampled from all that came before those
    candidates: int = 48  # K kept of a unit: half its positives and best-scored, half sampled from the rest

    def __post_init__(self) -> None:
        if self.recent < 1 or self.reservoir < 0 or self.candidates < 2:
            raise ConfigError(
                f"ReplayConfig: recent {self.recent} must be >= 1, reservoir {self.reservoir} >= 0, "
                f"candidates {self.candidates} >= 2"
            )


@dataclass(frozen=True, slots=True)
class ReplayUnits:
    """n units of K candidates, on their way into the memory or drawn from it."""

    z: NDArray[np.float32]  # (n, K, F) z-scores within the whole slate
    slates: SlateStatistics  # (n, F) of the whole slate
    gains: NDArray[np.float32]  # (n, K)
    logq: NDArray[np.float32]  # (n, K) log-probability of having been kept, the caller's own included
    valid: NDArray[np.bool_]  # (n, K)

    def with_more(self, more: "ReplayUnits") -> "ReplayUnits":
        """These and `more` units, of the same K."""
        return ReplayUnits(
            z=np.concatenate([self.z, more.z]),
            slates=SlateStatistics(
                np.concatenate([self.slates.mean, more.slates.mean]),
                np.concatenate([self.slates.sd, more.slates.sd]),
            ),
            gains=np.concatenate([self.gains, more.gains]),
            logq=np.concatenate([self.logq, more.logq]),
            valid=np.concatenate([self.valid, more.valid]),
        )


class Replay:
    """Memory of fixed size, with a generator of its own that is part of its state.

    A candidate is kept as float16 z-scores and a unit with the mean and deviation of its slate, so that no
    raw value overflows float16 and today's standardiser still applies (`inputs_from_z`).
    """

    def __init__(self, config: ReplayConfig, *, n_features: int, seed: int) -> None:
        self.config = config
        units, kept = config.recent + config.reservoir, config.candidates
        self._z = np.zeros((units, kept, n_features), np.float16)
        self._mean = np.zeros((units, n_features), np.float32)
        self._sd = np.zeros((units, n_features), np.float32)
        self._gains = np.zeros((units, kept), np.float32)
        self._logq = np.zeros((units, kept), np.float32)
        self._valid = np.zeros((units, kept), np.bool_)
        self._seen = 0
        self._generator = np.random.Generator(np.random.PCG64(seed))

    def __len__(self) -> int:
        earlier = max(0, self._seen - self.config.recent)
        return min(self._seen, self.config.recent) + min(earlier, self.config.reservoir)

    @property
    def nbytes(self) -> int:
        """Of all arrays; it never changes."""
        return sum(self._array(name).nbytes for name in _UNIT_ARRAYS)

    def reduce(
        self,
        view: WideView,
        *,
        users: NDArray[np.int64],
        scores: NDArray[np.float32],
        gains: NDArray[np.float32],
        logq: NDArray[np.float32] | None,
    ) -> ReplayUnits:
        """`users` (n,) of a batch with K candidates each; `scores`, `gains`, `logq` are (n, C) of those users."""
        columns, kept, keep_logq = self._choose(scores, gains=gains, valid=view.valid[users])
        flat = np.cumsum(view.valid.ravel()).reshape(view.valid.shape) - 1
        z = view.inputs[:, self._mean.shape[1] :][flat[users[:, None], columns]]  # (n, k, F)
        z[~kept] = 0.0
        if logq is not None:
            keep_logq += np.take_along_axis(logq, columns, axis=1)
        padding = ((0, 0), (0, self.config.candidates - columns.shape[1]))
        return ReplayUnits(
            z=np.pad(z, (*padding, (0, 0))),
            slates=SlateStatistics(view.slate_mean[users], view.slate_sd[users]),
            gains=np.pad(np.where(kept, np.take_along_axis(gains, columns, axis=1), np.float32(0)), padding),
            logq=np.pad(np.where(kept, keep_logq, np.float32(0)), padding),
            valid=np.pad(kept, padding),
        )

    def add(self, units: ReplayUnits) -> None:
        """Remember units of K candidates, in their order."""
        for at in range(len(units.gains)):
            place = self._place()
            self._z[place] = units.z[at]
            self._mean[place], self._sd[place] = units.slates.mean[at], units.slates.sd[at]
            self._gains[place], self._logq[place] = units.gains[at], units.logq[at]
            self._valid[place] = units.valid[at]

    def _choose(
        self, scores: NDArray[np.float32], *, gains: NDArray[np.float32], valid: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.float32]]:
        """(n, k) columns kept, which of them are candidates at all, and the log-probability of each.

        The positives and the best-scored are kept for certain, since they carry most of the softmax; of the
        others a uniform sample stands for all, by its log-Q.
        """
        certain = self.config.candidates // 2
        sampled = self.config.candidates - certain
        rank = np.where(valid, scores + np.where(gains > 0, np.float32(1e9), np.float32(0)), -np.inf)
        order = np.argsort(-rank, axis=1, kind="stable")  # (n, C)
        head, tail = order[:, :certain], order[:, certain:]
        tail_valid = np.take_along_axis(valid, tail, axis=1)
        keys = np.where(tail_valid, self._generator.random(tail.shape), np.inf)
        drawn = np.take_along_axis(tail, np.argsort(keys, axis=1, kind="stable")[:, :sampled], axis=1)
        columns = np.concatenate([head, drawn], axis=1)
        there = tail_valid.sum(1)
        chance = np.minimum(1.0, sampled / np.maximum(there, 1))
        logq = np.zeros(columns.shape, np.float32)
        logq[:, head.shape[1] :] = np.log(chance)[:, None]
        return columns, np.take_along_axis(valid, columns, axis=1), logq

    def _place(self) -> int:
        """Where the next unit goes, after the one it pushes out was offered to the reservoir."""
        place = self._seen % self.config.recent
        earlier = self._seen - self.config.recent  # units offered to the reservoir before this one
        self._seen += 1
        if earlier >= 0 and self.config.reservoir:
            at = earlier
            if earlier >= self.config.reservoir:
                at = int(self._generator.integers(0, earlier + 1))
            if at < self.config.reservoir:
                for name in _UNIT_ARRAYS:
                    array = self._array(name)
                    array[self.config.recent + at] = array[place]
        return place

    @property
    def seen(self) -> int:
        """How many units were ever added."""
        return self._seen

    def forget_since(self, seen: int) -> None:
        """Forget the units added since there had been `seen`: older ones take their places, the oldest first.

        What they pushed out of the latest units is gone but for the reservoir's sample of it.
        """
        newer = np.arange(max(seen, self._seen - self.config.recent), self._seen)
        older = np.arange(max(0, self._seen - self.config.recent), min(seen, self._seen))
        if not len(newer):
            return
        places, spare = newer % self.config.recent, older % self.config.recent
        if not len(spare):  # then nothing of the latest is left: the reservoir holds what came before
            spare = np.arange(self.config.recent, len(self))
        if not len(spare):
            self._seen = 0
            return
        for name in _UNIT_ARRAYS:
            array = self._array(name)
            array[places] = array[spare[np.arange(len(places)) % len(spare)]]

    def draw(self, n: int) -> ReplayUnits:
        """`n` units drawn uniformly with replacement; InputError when nothing is remembered."""
        if not len(self):
            raise InputError("nothing to draw: the replay memory is empty")
        at = self._generator.integers(0, len(self), n)
        return ReplayUnits(
            z=self._z[at].astype(np.float32),
            slates=SlateStatistics(self._mean[at], self._sd[at]),
            gains=self._gains[at],
            logq=self._logq[at],
            valid=self._valid[at],
        )

    def _array(self, name: str) -> NDArray[np.generic]:
        arrays: dict[str, NDArray[np.generic]] = {
            "z": self._z,
            "mean": self._mean,
            "sd": self._sd,
            "gains": self._gains,
            "logq": self._logq,
            "valid": self._valid,
        }
        return arrays[name]

    def snapshot(self) -> Arrays:
        """The filled rows, the count and the generator, copied."""
        arrays: Arrays = {name: self._array(name)[: len(self)].copy() for name in _UNIT_ARRAYS}
        arrays["seen"] = np.array(self._seen, np.int64)
        arrays["generator"] = generator_to_array(self._generator)
        return arrays

    def restore(self, arrays: Arrays) -> None:
        """Take `snapshot`'s arrays; InputError, and nothing changed, when they are of another size."""
        if "seen" not in arrays:
            raise InputError("arrays do not match: missing ['seen']")
        before, self._seen = self._seen, int(arrays["seen"])
        try:
            check_arrays(arrays, expected=self.snapshot())
        except InputError:
            self._seen = before
            raise
        for name in _UNIT_ARRAYS:
            self._array(name)[: len(self)] = arrays[name]
        self._generator = generator_from_array(arrays["generator"])
