"""Adversarial training by the fast gradient method, on token embeddings.

Miyato et al. (2017), Adversarial training methods for semi-supervised text classification.
"""

from collections.abc import Callable

import torch
from torch import Tensor


def with_adversary(loss: Callable[[Tensor], Tensor], tokens: Tensor, *, epsilon: float) -> Tensor:
    """() the mean of the loss of `tokens` and of their worst neighbours, as far as a linear view can tell.

    `loss`: a scalar of (B, S, H) tokens; each user's tokens move by `epsilon` along that user's gradient, which
    is then taken as a constant. One more forward and backward pass.
    """
    plain = loss(tokens)
    (gradient,) = torch.autograd.grad(plain, tokens, retain_graph=True)
    length = gradient.float().flatten(1).norm(dim=1).clamp_min(1e-12)  # (B,)
    shift = epsilon * gradient / length[:, None, None].to(gradient.dtype)
    return (plain + loss(tokens + shift.detach())) / 2
