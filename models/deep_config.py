"""The deep part's shape, precision and training."""

import json
from dataclasses import asdict, dataclass
from typing import Literal, get_args

from models.errors import ConfigError
from models.pretrained import DEFAULT_MODEL

Augmentation = Literal["crop", "mask", "reorder"]
_SIZES = ("layers", "history", "candidates", "lora_rank", "lora_alpha", "id_buckets", "id_dim", "text_rank")
_FREE = (
    "candidates",
    "lr",
    "weight_decay",
    "dtype",
    "train_dtype",
    "fgm_epsilon",
    "augment",
    "anchor",
    "slow_decay",
)


@dataclass(frozen=True, slots=True)
class DeepConfig:
    """The deep part's shape and training."""

    backbone: str = DEFAULT_MODEL
    layers: int = 2  # the encoder's first ones; the others are pruned
    history: int = 16  # T: items of history read
    candidates: int = 32  # best candidates by wide score that are re-scored
    lora_rank: int = 8
    lora_alpha: int = 16
    lora_targets: tuple[str, ...] = ("query", "value")
    id_buckets: int = 8192
    id_dim: int = 24
    text_rank: int = 32
    lr: float = 2e-3
    weight_decay: float = 1e-4
    dtype: str = "auto"  # of the copy that scores
    train_dtype: str = "auto"  # of the matrix products in training; the weights are float32 always
    fgm_epsilon: float = 0.0  # length of an adversarial step on a user's tokens; 0: none
    augment: tuple[Augmentation, ...] = ()  # of the histories in training
    twin: bool = False  # a slow LoRA adapter follows the one that learns
    slow_decay: float = 0.99  # of the slow adapter's average, by step
    slow_share: float = 0.5  # of the slow adapter in what scores
    anchor: float = 1e-2  # weight of the squared distance to the slow adapter in the loss

    def __post_init__(self) -> None:
        for name in _SIZES:
            if getattr(self, name) < 1:
                raise ConfigError(f"DeepConfig.{name} is {getattr(self, name)}; it must be at least 1")
        if not self.lora_targets or not 0 < self.lr < 1 or self.weight_decay < 0:
            raise ConfigError(
                f"DeepConfig needs lora_targets (got {self.lora_targets}), 0 < lr < 1 (got {self.lr}) "
                f"and weight_decay >= 0 (got {self.weight_decay})"
            )
        if self.fgm_epsilon < 0 or self.anchor < 0:
            raise ConfigError(
                f"DeepConfig needs fgm_epsilon >= 0 (got {self.fgm_epsilon}) and anchor >= 0 (got {self.anchor})"
            )
        if not 0 <= self.slow_decay < 1 or not 0 <= self.slow_share <= 1:
            raise ConfigError(
                f"DeepConfig needs 0 <= slow_decay < 1 (got {self.slow_decay}) "
                f"and 0 <= slow_share <= 1 (got {self.slow_share})"
            )
        if unknown := set(self.augment) - set(get_args(Augmentation)):
            raise ConfigError(
                f"DeepConfig.augment has {sorted(unknown)}; it may have {', '.join(get_args(Augmentation))}"
            )

    def shape(self) -> str:
        """What must agree for arrays of one deep part to mean the same in another, as JSON."""
        shaping = asdict(self)
        for free in _FREE if self.twin else (*_FREE, "twin", "slow_share"):
            del shaping[free]
        return json.dumps(shaping, sort_keys=True)
