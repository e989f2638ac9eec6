"""Losses of a slate, as pure functions of one signature: scores and targets in, one loss for each unit out.

loss(scores, targets=…, valid=…, logq=…) -> (B,)
    scores: (B, C) float; targets: (B, C) float >= 0; valid: (B, C) bool, False is padding;
    logq: (B, C) float or None, the log-probability with which each candidate was sampled.
"""

from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

_PADDING = -1e30


class Loss(Protocol):
    """The one signature."""

    def __call__(
        self, scores: Tensor, *, targets: Tensor, valid: Tensor, logq: Tensor | None = None
    ) -> Tensor: ...


def listwise_softmax(scores: Tensor, *, targets: Tensor, valid: Tensor, logq: Tensor | None = None) -> Tensor:
    """(B,) cross-entropy between the gains, as shares, and the softmax of the scores; 0 without a positive.

    Cao et al. (2007), Learning to Rank: from pairwise to listwise approach; the log-Q correction is of
    Bengio and Senécal (2008): subtracting it makes the sampled softmax estimate the full one.
    """
    logits = scores if logq is None else scores - logq
    logits = torch.where(valid, logits, _PADDING)
    gains = torch.where(valid, targets, 0.0)
    total = gains.sum(1)  # (B,)
    log_p = logits - torch.logsumexp(logits, dim=1, keepdim=True)  # (B, C)
    cross_entropy = -(gains * log_p).sum(1) / total.clamp_min(1e-12)
    return torch.where(total > 0, cross_entropy, 0.0)


def mean_bce(scores: Tensor, *, targets: Tensor, valid: Tensor, logq: Tensor | None = None) -> Tensor:
    """(B,) mean over the valid candidates of the binary cross-entropy; targets above 0 are positives.

    With `logq` each candidate weighs 1/q, so that sampled negatives stand for all of them.
    """
    each = binary_cross_entropy_with_logits(scores, (targets > 0).to(scores.dtype), reduction="none")
    weights = valid.to(scores.dtype) if logq is None else torch.where(valid, torch.exp(-logq), 0.0)
    return (each * weights).sum(1) / weights.sum(1).clamp_min(1e-12)
