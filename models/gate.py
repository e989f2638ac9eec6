"""Does the deep part pay? Decided from the paired prequential difference, with hysteresis."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.errors import ConfigError, InputError
from models.metrics import SlidingWindow
from models.state import Arrays, check_arrays, under_prefix, with_prefix


@dataclass(frozen=True, slots=True)
class GateConfig:
    """When the deep part is trusted and when it no longer is."""

    window: int = 2_000  # units
    min_units: int = 200  # no verdict before so many paired units
    open_sigma: float = 2.5  # opens when the mean gain is so many standard errors above 0
    close_sigma: float = 0.0  # closes when the mean gain is not above -close_sigma standard errors

    def __post_init__(self) -> None:
        if not 2 <= self.min_units <= self.window:
            raise ConfigError(f"min_units {self.min_units} must be from 2 to the window {self.window}")
        if not self.open_sigma > -self.close_sigma:
            raise ConfigError(
                f"open_sigma {self.open_sigma} must exceed -close_sigma {-self.close_sigma}, for hysteresis"
            )


class DeepGate:
    """Whether ranking with the deep part beats ranking without it, on the same units, lately.

    It opens only on a gain that stands well above the noise, and closes when the gain is gone; between the
    two it keeps its verdict, so that it does not flap. Closed until shown otherwise.
    """

    def __init__(self, config: GateConfig | None = None) -> None:
        self.config = config or GateConfig()
        self._gains = SlidingWindow(self.config.window)
        self._open = False

    def observe(self, *, without: NDArray[np.float32], with_deep: NDArray[np.float32]) -> None:
        """Add (n,) scores of the same units without and with the deep part."""
        if without.shape != with_deep.shape or without.ndim != 1:
            raise InputError(
                f"without {without.shape} and with_deep {with_deep.shape} must pair up, (n,) each"
            )
        if not len(without):
            return
        self._gains.push(with_deep.astype(np.float64) - without.astype(np.float64))
        if len(self._gains) < self.config.min_units:
            return
        mean, error = self._gains.mean, self._gains.standard_error
        if self._open:
            self._open = mean > -self.config.close_sigma * error
        else:
            self._open = mean > self.config.open_sigma * error

    def pays(self) -> bool:
        """Serve the deep part?"""
        return self._open

    @property
    def mean_gain(self) -> float:
        """The mean difference over the window: the deep part's own share, in the metric observed."""
        return self._gains.mean

    @property
    def standard_error(self) -> float:
        """Of `mean_gain`."""
        return self._gains.standard_error

    @property
    def units(self) -> int:
        """How many paired units the window holds."""
        return len(self._gains)

    def snapshot(self) -> Arrays:
        return {**with_prefix("gains", self._gains.snapshot()), "open": np.array(int(self._open), np.int64)}

    def restore(self, arrays: Arrays) -> None:
        """Take `snapshot`'s arrays; InputError when they are of another configuration."""
        check_arrays(arrays, expected=self.snapshot())
        self._gains.restore(under_prefix("gains", arrays))
        self._open = bool(arrays["open"])
