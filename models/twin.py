"""Twin adapters: a slow LoRA adapter that follows the fast one, holds it back, and scores with it.

Shi et al. (2023), LSAT (arXiv 2312.15599): what is lasting and what is of the moment in adapters of their own;
Yoo et al. (2025), PESO (arXiv 2510.25093): a proximal term that ties the adapter that learns to an earlier one.
"""

from typing import Any

import torch
from torch import Tensor, nn

from models.errors import ConfigError

FAST, SLOW = "default", "slow"


def add_slow(model: Any) -> None:
    """Give the peft model a second adapter, SLOW, equal to FAST; FAST stays the one that learns."""
    with torch.random.fork_rng(devices=[]):
        model.add_adapter(SLOW, model.peft_config[FAST])
    with torch.no_grad():
        for fast, slow in pairs(model):
            slow.copy_(fast)
            slow.requires_grad_(False)


def pairs(model: Any) -> list[tuple[nn.Parameter, nn.Parameter]]:
    """Each parameter of FAST with its twin in SLOW, in a stable order."""
    named = dict(model.named_parameters())
    found = [
        (parameter, named[name.replace(f".{FAST}.", f".{SLOW}.")])
        for name, parameter in named.items()
        if f".{FAST}." in name and "lora_" in name
    ]
    if not found:
        raise ConfigError("the model has no LoRA adapter to follow")
    return found


@torch.no_grad()
def follow(model: Any, *, decay: float) -> None:
    """Move SLOW towards FAST by 1 - decay."""
    for fast, slow in pairs(model):
        slow.lerp_(fast, 1.0 - decay)


def anchored(model: Any, *, weight: float) -> Tensor:
    """() half of `weight` times the squared distance of FAST from SLOW; the gradient is FAST's."""
    apart = [(fast - slow.detach()).square().sum() for fast, slow in pairs(model)]
    return 0.5 * weight * torch.stack(apart).sum()
