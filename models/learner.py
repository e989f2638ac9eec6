"""The online learner: every batch is first scored, then learnt from, once and with a little of the past."""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.batch import ItemTable, RankBatch
from models.class_balance import ClassBalance
from models.deep_learner import DeepBatch, DeepLearner
from models.device import set_threads
from models.drift import Drift
from models.features_scaler import inputs_from_z
from models.guard import Guard
from models.learner_config import LearnerConfig as LearnerConfig
from models.learner_config import StepReport as StepReport
from models.optimiser import GuardedAdamW, Stepped
from models.prequential import Prequential
from models.promotion import Decision, Verdict
from models.ranker import Ranker, RankerConfig, Scores, WideView
from models.replay import Replay, ReplayUnits
from models.slate_loss import SlateLoss
from models.state import (
    Arrays,
    check_arrays,
    generator_from_array,
    generator_to_array,
    under_prefix,
    with_prefix,
)
from models.targets import Targets

NO_POSITIVES = "no positives"
FEATURES_NOT_FINITE = "features not finite"


class Learner:
    """Owns the ranker it trains, its optimisers, its memory and its chance.

    Its state after a log is a function of its first state and the log: batches are the caller's, cut by the
    log; all chance comes from generators that are part of the state; the same batches leave bit-identical
    weights, also across `snapshot` and `restore` (on one machine, with the same thread count).
    """

    def __init__(
        self,
        ranker_config: RankerConfig,
        learner_config: LearnerConfig | None = None,
        *,
        n_features: int,
        dim: int,
        schema: str = "",
    ) -> None:
        self.config = learner_config or LearnerConfig()
        self.ranker = Ranker(ranker_config, n_features=n_features, dim=dim, schema=schema)
        self.prequential = Prequential(self.config.prequential)
        self.drift = Drift(self.config.drift) if self.config.drift else None
        self.replay = Replay(self.config.replay, n_features=n_features, seed=self.config.seed)
        self._loss = SlateLoss(self.config.loss)
        balance = self.config.loss.class_balance
        self._balance = ClassBalance(balance) if balance else None
        self.batches = 0
        self.units = 0
        self.skipped_steps = 0  # by the gradient guard
        self._generator = np.random.Generator(np.random.PCG64([self.config.seed, 1]))
        self._wide_optimiser = GuardedAdamW(
            self.ranker.wide.parameters(),
            lr=ranker_config.wide_lr,
            weight_decay=ranker_config.weight_decay,
            clip_norm=self.config.clip_norm,
        )
        deep = self.ranker.deep
        self._deep = (
            DeepLearner(
                self.ranker,
                deep,
                loss=self._loss,
                task_weight=self.config.task_weight,
                clip_norm=self.config.clip_norm,
            )
            if deep
            else None
        )
        guarded = self.config.promotion if not ranker_config.full else None  # a backbone is too large to keep
        self.guard = (
            Guard(
                guarded,
                n_features=n_features,
                hidden=ranker_config.wide_hidden,
                weights=self._weights(),
                k=self.config.prequential.k,
            )
            if guarded
            else None
        )

    def validate(
        self,
        batch: RankBatch,
        table: ItemTable,
        *,
        gains: NDArray[np.float32],
        relevant: NDArray[np.int64] | None = None,
        served: tuple[WideView, NDArray[np.float32]] | None = None,
    ) -> Scores:
        """Score a batch as it would be served, the deep part on a sample, and fold it into `prequential`.

        Call it before `learn` sees the batch. `gains`, `relevant`: see `Prequential.observe`. `served`: the
        batch's view and wide scores (B, C), where it was scored already and nothing was learnt since.
        """
        Targets(gains).check(batch.candidates.shape)
        deep = self.prequential.deep_sample(len(batch))
        if served is None:
            scores = self.ranker.score(batch, table, deep=deep)
        else:
            scores = self.ranker.add_deep(batch, table, view=served[0], wide=served[1], deep=deep)
        losses = self.prequential.observe(scores, gains=gains, relevant=relevant)
        if self.drift:
            self.drift.observe(losses)
        if self.guard:
            self.guard.judge(batch, scores.wide, gains=gains)
        return scores

    def learn(
        self,
        batch: RankBatch,
        table: ItemTable,
        *,
        gains: NDArray[np.float32],
        logq: NDArray[np.float32] | None = None,
        labels: NDArray[np.float32] | None = None,
    ) -> StepReport:
        """Learn from B units: a wide step, more of them with replayed units, and now and then a deep one.

        `gains`: (B, C) float32 >= 0, what each candidate turned out to be worth; `logq`: (B, C) float32 log
        sampling probability where candidates were sampled; `labels`: (B, C, 3) float32 clicked, carted,
        bought. A batch with features that are not finite is skipped whole; a step whose loss or gradient is
        not finite is not taken, and is counted. Raises InputError for arrays that do not fit together.
        """
        targets = Targets(gains, logq, labels)
        targets.check(batch.candidates.shape)
        set_threads(self.ranker.config.threads)
        self.batches += 1
        self.units += len(batch)
        valid = batch.candidates != 0  # row 0 is padding by contract
        if not np.isfinite(batch.features).all():
            self.skipped_steps += 1
            return StepReport(len(batch), 0, skipped=FEATURES_NOT_FINITE)
        self.ranker.wide.standardiser.learn(batch.features, valid=valid)
        users = np.flatnonzero(((gains > 0) & valid).any(1))
        if not len(users):
            return StepReport(len(batch), 0, skipped=NO_POSITIVES)
        view, worth = self.ranker.view(batch), targets.take(users)
        if self._balance:
            hashes = table.hashes[batch.candidates[users]]
            worth = replace(worth, gains=self._balance.weigh(worth.gains, hashes=hashes))
        due = self._deep is not None and self.batches % self.config.deep_every == 0
        served = self.ranker.wide_scores(view)[users] if due else None  # before it learns from these units
        rows = np.repeat(np.isin(np.arange(len(batch)), users), view.valid.sum(1))  # of the users' candidates
        first, scores = self._wide_step(view.inputs[rows], valid=view.valid[users], targets=worth)
        if first.skipped:
            return StepReport(len(batch), 0, first.loss, first.grad_norm, first.skipped)
        fresh = self.replay.reduce(view, users=users, scores=scores, gains=worth.gains, logq=worth.logq)
        steps, past = self._replays(len(users))
        for _ in range(steps):
            self._replay_step(fresh.with_more(self.replay.draw(past)) if len(self.replay) else fresh)
        self.ranker.wide.average(self.config.average**self._haste)
        self.replay.add(fresh)
        deep = None
        if self._deep is not None and served is not None:
            shown = DeepBatch(batch, table, view, users, served, worth)
            deep = self._deep.step(
                shown, units=self.config.deep_units, generator=self._generator, haste=self._haste
            )
            self.skipped_steps += deep is not None and deep.skipped is not None
        return StepReport(
            units=len(batch),
            trained_units=len(users),
            loss=first.loss,
            grad_norm=first.grad_norm,
            deep_loss=deep.loss if deep else None,
            deep_skipped=deep.skipped if deep else None,
        )

    def promote(self, *, stamp: int) -> Verdict:
        """Decide what serves from now on; call it when an adapter is due, which is number `stamp`.

        On a breach the learner returns to the anchor: weights, moments, and a memory without what came since.
        """
        if self.guard is None:
            return Verdict(Decision.PROMOTED, "not guarded")
        verdict = self.guard.decide(self._weights(), stamp=stamp)
        if verdict.restarts:
            self._take_weights(self.guard.anchor)
            self.replay.forget_since(int(self.guard.anchor["replay_seen"]))
        return verdict

    @property
    def exploration(self) -> float:
        """What exploration is to be multiplied by now, for the bandit: above 1 for a while after drift."""
        return self.drift.exploration if self.drift else 1.0

    @property
    def remembered(self) -> int | None:
        """How many of a shopper's latest items are to count now; None, as nearly always, for all."""
        return self.drift.remembered if self.drift else None

    @property
    def _haste(self) -> float:
        """What the learning rate is multiplied by now: above 1 for a while after drift was detected."""
        return self.drift.learning if self.drift else 1.0

    def _replays(self, fresh: int) -> tuple[int, int]:
        """How many steps with replayed units a batch with `fresh` units to learn from takes, and the units of
        each: the work follows what there is to learn, not how often the stream says nothing."""
        wanted = self.config.replay_ratio * fresh
        steps = min(max(round(wanted / self.config.replay_units), 1), self.config.replay_steps)
        return steps, min(-(-wanted // steps), self.config.replay_units)

    def _replay_step(self, units: ReplayUnits) -> None:
        inputs = inputs_from_z(units.z, slates=units.slates, standardiser=self.ranker.wide.standardiser)
        self._wide_step(inputs[units.valid], valid=units.valid, targets=Targets(units.gains, units.logq))

    def _wide_step(
        self, inputs: NDArray[np.float32], *, valid: NDArray[np.bool_], targets: Targets
    ) -> tuple[Stepped, NDArray[np.float32]]:
        """One step on n units from the inputs (R, 2F) of their valid candidates; the scores (n, C) before it."""
        flat = self.ranker.wide.forward(torch.from_numpy(inputs))
        scores = _as_slates(flat, valid)
        loss = self._loss(scores, targets=targets, valid=valid).sum() / max(len(valid), self.config.min_units)
        stepped = self._wide_optimiser.step(loss, haste=self._haste)
        self.skipped_steps += stepped.skipped is not None
        return stepped, scores.detach().numpy()

    def _weights(self) -> Arrays:
        """All weights and their moments, copied, and how much of the memory they learnt from."""
        return {
            **with_prefix("ranker", self.ranker.snapshot()),
            **with_prefix("wide_optimiser", self._wide_optimiser.snapshot()),
            **(with_prefix("deep_optimiser", self._deep.snapshot()) if self._deep else {}),
            "replay_seen": np.array(self.replay.seen, np.int64),
        }

    def _take_weights(self, arrays: Arrays) -> None:
        self.ranker.restore(under_prefix("ranker", arrays))
        self._wide_optimiser.restore(under_prefix("wide_optimiser", arrays))
        if self._deep:
            self._deep.restore(under_prefix("deep_optimiser", arrays))

    def snapshot(self) -> Arrays:
        """The whole state, copied."""
        counters = np.array([self.batches, self.units, self.skipped_steps], np.int64)
        return {
            **self._weights(),
            **with_prefix("replay", self.replay.snapshot()),
            **(with_prefix("guard", self.guard.snapshot()) if self.guard else {}),
            **with_prefix("prequential", self.prequential.snapshot()),
            **(with_prefix("drift", self.drift.snapshot()) if self.drift else {}),
            **(with_prefix("balance", self._balance.snapshot()) if self._balance else {}),
            "generator": generator_to_array(self._generator),
            "counters": counters,
        }

    def restore(self, arrays: Arrays) -> None:
        """Take `snapshot`'s arrays; InputError, and nothing changed, when they do not fit."""
        guarded = self.guard is not None and any(name.startswith("guard.") for name in arrays)
        watched = self.drift is not None and any(name.startswith("drift.") for name in arrays)
        # what was switched on or off since they were saved begins afresh, or is left
        part_of = {"guard.": guarded, "drift.": watched}
        apart = ("replay.", *(part for part, comes_back in part_of.items() if not comes_back))
        rest = {name: array for name, array in self.snapshot().items() if not name.startswith(apart)}
        check_arrays({n: a for n, a in arrays.items() if not n.startswith(apart)}, expected=rest)
        self.replay.restore(under_prefix("replay", arrays))
        self._take_weights(arrays)
        if self.guard and guarded:
            self.guard.restore(under_prefix("guard", arrays))
        elif self.guard:  # promotion was off when they were saved: it begins with these weights
            self.guard.begin(self._weights())
        if self._balance:
            self._balance.restore(under_prefix("balance", arrays))
        self.prequential.restore(under_prefix("prequential", arrays))
        if self.drift and watched:
            self.drift.restore(under_prefix("drift", arrays))
        self._generator = generator_from_array(arrays["generator"])
        self.batches, self.units, self.skipped_steps = (int(count) for count in arrays["counters"])


def _as_slates(flat: Tensor, valid: NDArray[np.bool_]) -> Tensor:
    """(n, C) scores from the (R,) of the valid candidates; 0 at padding, which the losses mask."""
    slates = torch.zeros(valid.shape, dtype=flat.dtype)
    return slates.masked_scatter(torch.from_numpy(valid), flat)
