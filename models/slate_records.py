"""A slate as it was made, a slate as it ended, and what is set and counted on the way."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.errors import ConfigError


@dataclass(frozen=True, slots=True)
class OutcomesConfig:
    """How long a slate stays open, how many may be, and what an item's best outcome is worth."""

    window_ms: int = 30 * 60_000
    capacity: int = 100_000
    click: float = 0.2
    cart: float = 0.5
    purchase: float = 1.0

    def __post_init__(self) -> None:
        if self.window_ms < 1 or self.capacity < 1:
            raise ConfigError(
                f"OutcomesConfig window_ms is {self.window_ms}, capacity {self.capacity}; both must be >= 1"
            )
        if not 0 <= self.click <= self.cart <= self.purchase <= 1:
            raise ConfigError(
                f"OutcomesConfig rewards are {self.click}, {self.cart}, {self.purchase}; "
                "0 <= click <= cart <= purchase <= 1 is needed"
            )


@dataclass(frozen=True, slots=True)
class Recommended:
    """A slate of k items as it was made. Items and the user are `stable_hash`es."""

    rec_id: str
    user: int
    at_ms: int
    context: int
    arm: int
    arm_propensity: float
    items: tuple[int, ...]  # (k,) distinct, 0 is an empty slot
    propensities: tuple[float, ...]  # (k,) of each slot, given the slots before and the arm


@dataclass(frozen=True, slots=True)
class Joined:
    """A closed slate of which at least one item was shown."""

    recommended: Recommended
    shown: NDArray[np.bool_]  # (k,)
    clicked: NDArray[np.bool_]  # (k,)
    carted: NDArray[np.bool_]  # (k,)
    purchased: NDArray[np.bool_]  # (k,)
    reward: float  # in [0, 1]: the sum over items of each one's best outcome, at most 1


@dataclass(slots=True)
class Counts:
    """What did not make it into a joined slate. Grows for ever; saved."""

    joined: int = 0
    never_shown: int = 0  # slates that closed without an impression or an outcome
    repeated: int = 0  # a recommendation that was seen before: a redelivery
    late_slates: int = 0  # a recommendation whose window had ended when it came
    late: int = 0  # impressions and outcomes after their slate's window
    unknown: int = 0  # impressions and outcomes whose recommendation never came
    mismatched: int = 0  # impressions and outcomes of items that are not in the slate
    evicted: int = 0  # slates dropped open, and what waited for a slate, for want of room
