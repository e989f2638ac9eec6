"""The deep part's training step, on what the wide part leaves over."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.augment import augmented
from models.batch import ItemTable, RankBatch
from models.deep import TASKS, DeepPart
from models.fgm import with_adversary
from models.losses import mean_bce
from models.optimiser import GuardedAdamW, Stepped
from models.ranker import Ranker, WideView
from models.slate_loss import SlateLoss
from models.state import Arrays
from models.targets import Targets


@dataclass(frozen=True, slots=True)
class DeepBatch:
    """n units of a batch that were right somewhere, as the wide part served them."""

    batch: RankBatch
    table: ItemTable
    view: WideView
    users: NDArray[np.int64]  # (n,) their places in the batch
    wide: NDArray[np.float32]  # (n, C) scores before anybody learnt from these units
    targets: Targets  # of the n units


class DeepLearner:
    """Owns the deep part's optimiser."""

    def __init__(
        self, ranker: Ranker, deep: DeepPart, *, loss: SlateLoss, task_weight: float, clip_norm: float
    ) -> None:
        self._ranker = ranker
        self._deep = deep
        self._loss = loss
        self._task_weight = task_weight
        self._optimiser = GuardedAdamW(
            deep.parameters(), lr=deep.config.lr, weight_decay=deep.config.weight_decay, clip_norm=clip_norm
        )

    def step(
        self, shown: DeepBatch, *, units: int, generator: np.random.Generator, haste: float = 1.0
    ) -> Stepped | None:
        """One step on at most `units` units drawn by lot, `haste` times the usual; None where there is nothing
        to learn.

        Only the best candidates by wide score are read, as in serving: forcing a positive in from further
        down would teach that a low wide score is a good sign.
        """
        deep, config = self._deep, self._deep.config
        chosen = self._ranker.chosen(shown.wide)  # (n, K)
        teaches = np.flatnonzero((shown.targets.columns(chosen).gains > 0).any(1))
        if not len(teaches):
            return None
        taught = generator.permutation(teaches)[:units]
        users, chosen = shown.users[taught], chosen[taught]
        targets = shown.targets.take(taught).columns(chosen)
        valid = shown.view.valid[users[:, None], chosen]  # (n, K)
        wide = np.where(valid, np.take_along_axis(shown.wide[taught], chosen, axis=1), np.float32(0.0))
        plain = self._ranker.deep_inputs(
            shown.batch, shown.table, view=shown.view, users=users, chosen=chosen
        )
        inputs = augmented(plain, operators=config.augment, generator=generator)

        def loss_of(tokens: Tensor) -> Tensor:
            output = deep.read(tokens, inputs).cpu()  # (n, K, 4)
            return self._slate_loss(output, wide=torch.from_numpy(wide), targets=targets, valid=valid)

        tokens = deep.tokens(inputs)
        epsilon = config.fgm_epsilon
        loss = with_adversary(loss_of, tokens, epsilon=epsilon) if epsilon else loss_of(tokens)
        stepped = self._optimiser.step(loss + deep.anchored().cpu(), haste=haste)
        if not stepped.skipped:
            deep.stepped()
        return stepped

    def _slate_loss(
        self, output: Tensor, *, wide: Tensor, targets: Targets, valid: NDArray[np.bool_]
    ) -> Tensor:
        """() the listwise loss of wide (n, K) and deep scores together, and each task's; `output` is (n, K, 4)."""
        loss = self._loss(wide + output[:, :, 0], targets=targets, valid=valid).mean()
        if targets.labels is not None and self._task_weight:
            for task in range(len(TASKS)):
                happened = torch.from_numpy(targets.labels[:, :, task])
                each = mean_bce(output[:, :, 1 + task], targets=happened, valid=torch.from_numpy(valid))
                loss = loss + self._task_weight * each.mean()
        return loss

    def snapshot(self) -> Arrays:
        """The optimiser's moments, copied; the weights are the ranker's."""
        return self._optimiser.snapshot()

    def restore(self, arrays: Arrays) -> None:
        """Take `snapshot`'s arrays; InputError, and nothing changed, when they do not fit."""
        self._optimiser.restore(arrays)
