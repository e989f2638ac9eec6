"""The listwise loss that both parts learn by, as the learner is configured: plain, focal, class-balanced."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.errors import ConfigError
from models.losses import focal_listwise, listwise_softmax
from models.targets import Targets


@dataclass(frozen=True, slots=True)
class LossConfig:
    """What the softmax loss of a slate weighs."""

    focal_gamma: float = 0.0  # 0: plain softmax
    class_balance: float = 0.0  # beta of the items' class-balanced weights; 0: all alike

    def __post_init__(self) -> None:
        if self.focal_gamma < 0 or not 0 <= self.class_balance < 1:
            raise ConfigError(
                f"LossConfig needs focal_gamma >= 0 (got {self.focal_gamma}) "
                f"and 0 <= class_balance < 1 (got {self.class_balance})"
            )


class SlateLoss:
    """The loss of each unit. With class balance, gains are the weights of what was right, and a unit weighs as
    much as its positives do on average."""

    def __init__(self, config: LossConfig) -> None:
        self._each = focal_listwise(config.focal_gamma) if config.focal_gamma else listwise_softmax
        self._balanced = config.class_balance > 0

    def __call__(self, scores: Tensor, *, targets: Targets, valid: NDArray[np.bool_]) -> Tensor:
        """(n,) of (n, C) scores; `valid` is (n, C)."""
        gains = torch.from_numpy(targets.gains)
        logq = None if targets.logq is None else torch.from_numpy(targets.logq)
        each = self._each(scores, targets=gains, valid=torch.from_numpy(valid), logq=logq)
        if self._balanced:
            each = each * gains.sum(1) / (gains > 0).sum(1).clamp_min(1)
        return each
