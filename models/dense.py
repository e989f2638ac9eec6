"""Linear layers side by side, for inference on frozen weights: plain, packed for bfloat16, or in int8."""

from collections.abc import Collection, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, linear

from models.device import cpu_multiplies_bfloat16
from models.errors import ConfigError

_ZERO = 128  # of unsigned activations: oneDNN multiplies uint8 by int8 everywhere
_LEVELS = 127.0


class Product(Protocol):
    """The outputs of some linear modules side by side, through GELU if asked."""

    def renew(self, overwritten: Collection[nn.Module]) -> None:
        """Read the weights again if they are of `overwritten` modules."""
        ...

    def __call__(self, x: Tensor) -> Tensor:
        """(..., O) of (..., I)."""
        ...


class Dense:
    """A Product in the dtype of its weights.

    On a CPU in bfloat16 the weight is packed once as oneDNN blocks it, which `linear` does in every call.
    The two torch operators are the ones that torch.compile emits for a frozen model; the tests hold them to
    equal `linear`.
    """

    def __init__(self, modules: Sequence[nn.Linear], *, then_gelu: bool = False) -> None:
        weight = modules[0].weight
        self._modules = modules
        self._gelu = then_gelu
        self._packed = (
            weight.device.type == "cpu"
            and weight.dtype == torch.bfloat16
            and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
            and cpu_multiplies_bfloat16()
        )
        self.renew(modules)

    @torch.no_grad()
    def renew(self, overwritten: Collection[nn.Module]) -> None:
        """As Product."""
        if not any(module in overwritten for module in self._modules):
            return
        weight, self._bias = _side_by_side(self._modules)
        self._weight = torch.ops.mkldnn._reorder_linear_weight(weight) if self._packed else weight

    def __call__(self, x: Tensor) -> Tensor:
        """As Product."""
        if not self._packed:
            product = linear(x, self._weight, self._bias)
            return gelu(product) if self._gelu else product
        after, how = ("gelu", "none") if self._gelu else ("none", "")
        output: Tensor = torch.ops.mkldnn._linear_pointwise(x, self._weight, self._bias, after, [], how)
        return output


class Int8Dense:
    """A Product in int8: one scale a weight row, fixed, and one a token, taken from it.

    So a token's output does not depend on the rest of the batch. Dettmers et al. (2022), LLM.int8(), whose
    vector-wise scheme this is; BERT's activations need none of its exceptions. CPU only.
    """

    def __init__(self, modules: Sequence[nn.Linear], *, then_gelu: bool = False) -> None:
        weight = modules[0].weight
        if weight.device.type != "cpu" or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
            raise ConfigError(f"dtype int8 is for a CPU with oneDNN; the weights are on {weight.device}")
        self._modules = modules
        self._gelu = then_gelu
        self._middle = torch.tensor(_ZERO + 0.5)  # float32, which bfloat16's eight bits would not do for
        self.renew(modules)

    @torch.no_grad()
    def renew(self, overwritten: Collection[nn.Module]) -> None:
        """As Product."""
        if not any(module in overwritten for module in self._modules):
            return
        weight, self._bias = _side_by_side(self._modules)
        scales = (weight.float().abs().amax(1) / _LEVELS).clamp_min(1e-12)  # (O,)
        rounded = (weight.float() / scales[:, None]).round().to(torch.int8)
        self._weight = torch.ops.onednn.qlinear_prepack(rounded, None)
        self._scales = scales
        self._zeros = torch.zeros(len(scales), dtype=torch.int64)

    def __call__(self, x: Tensor) -> Tensor:
        """As Product."""
        rows = x.flatten(0, -2)  # (R, I)
        largest = rows.abs().amax(1, keepdim=True).float().clamp_min(1e-12)  # (R, 1)
        levels = torch.addcmul(self._middle, rows, _LEVELS / largest).to(torch.uint8)  # rounds half up
        product: Tensor = torch.ops.onednn.qlinear_pointwise(
            levels, 1 / _LEVELS, _ZERO, self._weight, self._scales, self._zeros, None, 1.0, 0, x.dtype, "none", [], ""
        )  # fmt: skip
        output = torch.addcmul(self._bias, product, largest.to(x.dtype)).view(*x.shape[:-1], -1)
        return gelu(output) if self._gelu else output


def _side_by_side(modules: Sequence[nn.Linear]) -> tuple[Tensor, Tensor]:
    """(O, I) weights and (O,) biases."""
    return torch.cat([module.weight for module in modules]), torch.cat([module.bias for module in modules])
