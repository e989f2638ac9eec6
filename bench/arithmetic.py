"""What the transformer part must compute, and what the device could: a share of the peak says how far apart."""

from dataclasses import dataclass
from statistics import median
from time import perf_counter

import torch

_ROUNDS = 20
_WARM_UP = 5


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes that decide the cost of one shopper's tokens through the network."""

    layers: int
    hidden: int  # H
    inner: int  # I of the feed-forward
    tokens: int  # S = T + K
    candidates: int  # K
    features: int  # F
    text_dim: int  # D
    text_rank: int
    id_dim: int
    lora_rank: int
    adapted: int  # matrices of a layer with an adapter


def training_flops(shape: Shape) -> float:
    """Floating-point operations of one shopper in one training step: forward, and the gradients there are.

    A product with frozen weights costs its forward twice (values, and the gradient of what goes in), one with
    weights that learn, or of two activations, three times. Norms, softmax and the optimiser are not counted.

    >>> one = Shape(1, 384, 1536, 48, 32, 40, 384, 32, 24, 8, 2)
    >>> round(training_flops(one) / 1e6)
    371
    """
    h, s = shape.hidden, shape.tokens
    frozen = shape.layers * s * 2 * (4 * h * h + 2 * h * shape.inner)
    attention = shape.layers * 2 * (2 * s * s * h)
    adapters = shape.layers * shape.adapted * s * 2 * (2 * h * shape.lora_rank)
    texts = s * 2 * shape.text_rank * (shape.text_dim + h)
    tokens = s * 2 * shape.id_dim * h + shape.candidates * 2 * shape.features * h
    heads = shape.candidates * 2 * 2 * h * 4
    return float(2 * frozen + 3 * (attention + adapters + texts + tokens + heads))


def measured_peak(device: torch.device, *, dtype: torch.dtype) -> float:
    """Floating-point operations a second of one large square product: the median of twenty."""
    size = 8_192 if device.type == "cuda" else 2_048
    left, right = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    took = []
    for turn in range(-_WARM_UP, _ROUNDS):
        wait_for(device)
        started = perf_counter()
        left @ right
        wait_for(device)
        if turn >= 0:
            took.append(perf_counter() - started)
    return 2.0 * size**3 / median(took)


def wait_for(device: torch.device) -> None:
    """Return when the device has done everything that it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
