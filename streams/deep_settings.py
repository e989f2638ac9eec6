"""The settings of the transformer part: how much of it there is, in which precision, and how it learns."""

from typing import Annotated, Literal, get_args

from pydantic import Field, field_validator

from models.deep_config import Augmentation
from streams.settings_base import BY_COMMAS, Group


class DeepSettings(Group):
    """The transformer: its size, its precision, its training. docs/options.md tells what each option brought."""

    layers: int = Field(
        default=2, ge=1, le=48, description="of the encoder, the first ones; others are pruned"
    )
    every: int = Field(default=4, ge=1, description="it takes a step on every so many batches")
    units: int = Field(default=8, ge=1, le=4096, description="outcomes of one of its steps, at most")
    lr: float = Field(default=2e-3, gt=0, lt=1, description="its learning rate")
    task_weight: float = Field(default=0.2, ge=0, description="of the click, cart and purchase heads' losses")
    dtype: Literal["auto", "float32", "bfloat16", "int8"] = Field(
        default="auto", description="of the weights that score; int8: CPU only"
    )
    train_dtype: Literal["auto", "float32", "bfloat16"] = Field(
        default="auto", description="mixed precision: of the products in training; weights stay float32"
    )
    fgm_epsilon: float = Field(
        default=0.0,
        ge=0,
        description="adversarial training: length of the step on a shopper's tokens; 0: none",
    )
    augment: Annotated[tuple[Augmentation, ...], BY_COMMAS] = Field(
        default=(), description="of histories in training, of crop, mask, reorder"
    )
    twin: bool = Field(
        default=False, description="a slow LoRA adapter follows the fast one and scores with it"
    )
    twin_decay: float = Field(default=0.99, ge=0, lt=1, description="of the slow adapter's average, by step")
    twin_share: float = Field(default=0.5, ge=0, le=1, description="of the slow adapter in what scores")
    twin_anchor: float = Field(
        default=1e-2, ge=0, description="weight of the squared distance between the twins in the loss"
    )

    @field_validator("augment")
    @classmethod
    def _once(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) < len(names):
            raise ValueError(f"one of {', '.join(names)} stands twice; each of {get_args(Augmentation)} once")
        return names
