"""Full fine-tuning of the backbone, to compare the LoRA adapter with: every weight of it learns.

An adapter of this kind is the whole backbone, tens of megabytes where LoRA's is a fifth of one: it does not fit a
Kafka record, so this is for measurements in one process.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from models.deep import DeepPart

GENTLY = 0.025  # a backbone weight's step as a share of the others': 5e-5 of 2e-3, usual for fine-tuning


class Offset(nn.Module):
    """A frozen tensor plus GENTLY times one of its shape that learns, from 0: to AdamW a step size of its own, and
    its weight decay pulls to the pretrained weight (L2-SP, Li et al. 2018)."""

    def __init__(self, like: Tensor) -> None:
        super().__init__()
        self.delta = nn.Parameter(torch.zeros_like(like))

    def forward(self, frozen: Tensor) -> Tensor:
        """The sum, of the tensors' common shape."""
        return frozen + GENTLY * self.delta


class FullDeepPart(DeepPart):
    """The deep part whose whole backbone learns; the LoRA adapter stays the identity that it begins as."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for name, parameter in list(self.backbone.named_parameters()):
            parameter.requires_grad_(False)
            if "lora_" not in name:
                owner, _, leaf = name.rpartition(".")
                parametrize.register_parametrization(
                    self.backbone.get_submodule(owner), leaf, Offset(parameter)
                )

    @torch.no_grad()
    def refresh(self) -> None:
        """As DeepPart.refresh, for every weight of the backbone."""
        if not self._stale:
            return
        super().refresh()
        serving = self._serving.backbone
        for name, module in self.backbone.named_modules():
            if not parametrize.is_parametrized(module):
                continue
            plain = serving.get_submodule(name.removeprefix("base_model.model.").removesuffix(".base_layer"))
            for leaf in module.parametrizations:
                plain.get_parameter(leaf).copy_(getattr(module, leaf))
        self._served.renew(set(serving.modules()))
