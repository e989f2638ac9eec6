"""Do a shopper's latest items alone predict better than all of them? Followed unit by unit after a drift.

Where tastes swapped they do; where a season changes what everybody buys, the history goes on counting, and to leave
it aside is a loss. Nobody knows beforehand, so for a while both rank the same units, and the latest alone serve until
they have lost more than a trial may cost.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.errors import ConfigError, InputError
from models.state import Arrays, check_arrays


@dataclass(frozen=True, slots=True)
class MemoryTrialConfig:
    """How many of the latest items are tried, and what makes them fail."""

    items: int = 80  # divided by what exploration is multiplied by; 0: all items, always
    fade_units: float = 300.0  # after which a result counts 1/e
    margin: float = 2.0  # how far the latest may fall behind before they are given up, in sums of the metric

    def __post_init__(self) -> None:
        if self.items < 0 or not self.fade_units > 0 or not self.margin >= 0:
            raise ConfigError(
                f"MemoryTrialConfig needs items >= 0 (got {self.items}), fade_units > 0 "
                f"(got {self.fade_units}) and margin >= 0 (got {self.margin})"
            )


class MemoryTrial:
    """The lead of the latest items over all of them, in the metric observed. A detected drift is reason enough to
    try the latest; once they are `margin` behind they are given up until the next one, so a vain trial costs that.

    >>> trial = MemoryTrial(MemoryTrialConfig())
    >>> trial.span(20.0), trial.span(1.0)
    (4, None)
    >>> trial.observe(latest=np.zeros(4), whole=np.full(4, 0.5)); trial.latest_serve
    True
    >>> trial.observe(latest=np.zeros(1), whole=np.full(1, 0.5)); trial.latest_serve
    False
    """

    def __init__(self, config: MemoryTrialConfig) -> None:
        self.config = config
        self._lead = 0.0
        self._failed = False

    def begin(self) -> None:
        """A drift was detected: they are level again, and the latest are tried."""
        self._lead, self._failed = 0.0, False

    def span(self, exploration: float) -> int | None:
        """How many of the latest distinct items are tried while exploration is multiplied so; None for no trial.

        The history comes back as the response to a drift relaxes, with more of it behind the drift.
        """
        if exploration == 1 or not self.config.items:
            return None
        return max(1, round(self.config.items / exploration))

    def observe(self, *, latest: NDArray[np.floating], whole: NDArray[np.floating]) -> None:
        """Add what (n,) units in their order scored with the latest items alone, and with all of them."""
        if latest.shape != whole.shape or latest.ndim != 1:
            raise InputError(f"latest {latest.shape} and whole {whole.shape} must pair up, (n,) each")
        kept = float(np.exp(-1.0 / self.config.fade_units))
        for gain in (latest.astype(np.float64) - whole.astype(np.float64)).tolist():
            self._lead = kept * self._lead + gain
            self._failed |= self._lead < -self.config.margin

    @property
    def latest_serve(self) -> bool:
        """Whether the latest items are to serve: until they have failed."""
        return not self._failed

    def snapshot(self) -> Arrays:
        return {"lead": np.array(self._lead, np.float64), "failed": np.array(int(self._failed), np.int64)}

    def restore(self, arrays: Arrays) -> None:
        """Take `snapshot`'s arrays; InputError when they do not fit."""
        check_arrays(arrays, expected=self.snapshot())
        self._lead, self._failed = float(arrays["lead"]), bool(arrays["failed"])
