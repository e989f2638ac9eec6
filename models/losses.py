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
    log_p, shares = _log_p_and_shares(scores, targets=targets, valid=valid, logq=logq)
    return -(shares * log_p).sum(1)


def focal_listwise(gamma: float) -> Loss:
    """`listwise_softmax` with each positive's log-probability weighted by (1 - p)^gamma.

    What is already ranked first for certain teaches less, what is missed teaches as before. With gamma 0 it is
    `listwise_softmax`. Lin et al. (2017), Focal loss for dense object detection.
    """

    def loss(scores: Tensor, *, targets: Tensor, valid: Tensor, logq: Tensor | None = None) -> Tensor:
        log_p, shares = _log_p_and_shares(scores, targets=targets, valid=valid, logq=logq)
        return -(shares * (-torch.expm1(log_p)).clamp_min(1e-6) ** gamma * log_p).sum(1)

    return loss


def mean_bce(scores: Tensor, *, targets: Tensor, valid: Tensor, logq: Tensor | None = None) -> Tensor:
    """(B,) mean over the valid candidates of the binary cross-entropy; targets above 0 are positives.

    With `logq` each candidate weighs 1/q, so that sampled negatives stand for all of them.
    """
    each = binary_cross_entropy_with_logits(scores, (targets > 0).to(scores.dtype), reduction="none")
    weights = valid.to(scores.dtype) if logq is None else torch.where(valid, torch.exp(-logq), 0.0)
    return (each * weights).sum(1) / weights.sum(1).clamp_min(1e-12)


def _log_p_and_shares(
    scores: Tensor, *, targets: Tensor, valid: Tensor, logq: Tensor | None
) -> tuple[Tensor, Tensor]:
    """(B, C) log-softmax of the scores, and each gain's share of its unit's; no shares without a positive."""
    logits = scores if logq is None else scores - logq
    logits = torch.where(valid, logits, _PADDING)
    gains = torch.where(valid, targets, 0.0)
    log_p = logits - torch.logsumexp(logits, dim=1, keepdim=True)
    return log_p, gains / gains.sum(1, keepdim=True).clamp_min(1e-12)
