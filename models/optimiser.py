"""AdamW behind a gradient guard: a step that is not finite is not taken.

Loshchilov and Hutter (2019), Decoupled weight decay regularization; Pascanu et al. (2013) for the clipping.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from models.state import Arrays, check_arrays

LOSS_NOT_FINITE = "loss not finite"
GRADIENT_NOT_FINITE = "gradient not finite"


@dataclass(frozen=True, slots=True)
class Stepped:
    """What became of one step."""

    loss: float
    grad_norm: float  # before clipping
    skipped: str | None  # the reason, or None when the step was taken


class GuardedAdamW:
    """Steps on finite losses with finite gradients, clipped; else leaves weights and moments untouched."""

    def __init__(
        self, parameters: Iterable[nn.Parameter], *, lr: float, weight_decay: float, clip_norm: float
    ) -> None:
        self._parameters = list(parameters)
        self._clip_norm = clip_norm
        self._lr = lr
        self._adam = torch.optim.AdamW(self._parameters, lr=lr, weight_decay=weight_decay, fused=True)
        self._start_from({})

    def step(self, loss: Tensor, *, haste: float = 1.0) -> Stepped:
        """Backpropagate `loss` () and take a step at `haste` times the learning rate, or say why not."""
        value = float(loss.detach())
        if not math.isfinite(value):
            return Stepped(value, math.nan, LOSS_NOT_FINITE)
        self._adam.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        norm = float(torch.nn.utils.clip_grad_norm_(self._parameters, self._clip_norm))
        if not math.isfinite(norm):
            self._adam.zero_grad(set_to_none=True)
            return Stepped(value, norm, GRADIENT_NOT_FINITE)
        for group in self._adam.param_groups:
            group["lr"] = self._lr * haste
        self._adam.step()
        return Stepped(value, norm, None)

    def snapshot(self) -> Arrays:
        """The moments and step counts, copied."""
        arrays: Arrays = {}
        for at, parameter in enumerate(self._parameters):
            for name, tensor in self._adam.state[parameter].items():
                arrays[f"{at}.{name}"] = tensor.detach().cpu().numpy().copy()
        return arrays

    def restore(self, arrays: Arrays) -> None:
        """Take `snapshot`'s arrays; InputError, and nothing changed, when they do not fit."""
        check_arrays(arrays, expected=self.snapshot())
        self._start_from(arrays)

    def _start_from(self, arrays: Arrays) -> None:
        """Moments of each parameter from `arrays`, zeros where it has none, as AdamW itself would begin."""
        for at, parameter in enumerate(self._parameters):
            like = {"step": torch.zeros((), device=parameter.device)}
            like |= {name: torch.zeros_like(parameter) for name in ("exp_avg", "exp_avg_sq")}
            for name, tensor in like.items():
                if f"{at}.{name}" in arrays:
                    tensor.copy_(torch.from_numpy(np.array(arrays[f"{at}.{name}"])))
            self._adam.state[parameter] = like
