"""The ranker: a wide part that scores every candidate and a deep part that adds to the best of them."""

import hashlib
import json
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from models.batch import ItemTable, RankBatch
from models.deep import DeepInputs, DeepPart, deep_inputs
from models.deep_config import DeepConfig
from models.device import set_threads
from models.errors import ConfigError, InputError
from models.full_tuning import FullDeepPart
from models.state import Arrays, check_arrays, under_prefix, with_prefix
from models.wide import WidePart


@dataclass(frozen=True, slots=True)
class RankerConfig:
    """The ranker's shape. `deep=None` is the wide part alone."""

    wide_hidden: tuple[int, ...] = (96, 64)
    wide_lr: float = 4e-3
    weight_decay: float = 1e-4
    deep: DeepConfig | None = field(default_factory=DeepConfig)
    full: bool = (
        False  # the whole backbone learns in place of an adapter on it: to measure, see full_tuning.py
    )
    seed: int = 1
    device: str = "auto"  # of the deep part
    threads: int | None = 1

    def __post_init__(self) -> None:
        if not self.wide_hidden or min(self.wide_hidden) < 1:
            raise ConfigError(f"RankerConfig.wide_hidden is {self.wide_hidden}; it needs sizes of at least 1")
        if not 0 < self.wide_lr < 1 or self.weight_decay < 0:
            raise ConfigError(
                f"RankerConfig needs 0 < wide_lr < 1 (got {self.wide_lr}) "
                f"and weight_decay >= 0 (got {self.weight_decay})"
            )


@dataclass(frozen=True, slots=True)
class Scores:
    """B users, C candidates."""

    wide: NDArray[np.float32]  # (B, C) of the wide part, -inf at padding
    total: NDArray[np.float32]  # (B, C) with what the deep part adds, -inf at padding
    deep_used: NDArray[np.bool_]  # (B,) whether the deep part was asked
    tasks: NDArray[np.float32]  # (B, C, 3) P(click, cart, purchase) of the re-scored, nan elsewhere


@dataclass(frozen=True, slots=True)
class WideView:
    """A batch as the wide part reads it; the learner starts from it too."""

    inputs: NDArray[np.float32]  # (R, 2F) of the R valid candidates, in slate order
    valid: NDArray[np.bool_]  # (B, C)
    slate_mean: NDArray[np.float32]  # (B, F)
    slate_sd: NDArray[np.float32]  # (B, F)

    def standardised(self, *, users: NDArray[np.int64], chosen: NDArray[np.int64]) -> NDArray[np.float32]:
        """(n, K, F) standardised features of the columns `chosen` (n, K) of `users` (n,); 0 at padding."""
        flat = np.cumsum(self.valid.ravel()).reshape(self.valid.shape) - 1  # (B, C) row of each candidate
        rows = flat[users[:, None], chosen]
        features: NDArray[np.float32] = self.inputs[:, : self.slate_mean.shape[1]][rows]
        features[~self.valid[users[:, None], chosen]] = 0.0
        return features


class Ranker:
    """Scores slates. Deterministic given its weights; a user's scores do not depend on the rest of the batch.

    `n_features` is F and `dim` is D of the batches and tables to come; `schema` says what the features mean
    (a hash of their names, say), so that an adapter made for other features is refused.
    """

    def __init__(self, config: RankerConfig, *, n_features: int, dim: int, schema: str = "") -> None:
        set_threads(config.threads)
        self.config = config
        self.n_features = n_features
        self.dim = dim
        self._schema = schema
        self.wide = WidePart(n_features, hidden=config.wide_hidden, seed=config.seed)
        deep_part = FullDeepPart if config.full else DeepPart
        self.deep = (
            deep_part(config.deep, n_features=n_features, dim=dim, seed=config.seed, device=config.device)
            if config.deep
            else None
        )

    def score(self, batch: RankBatch, table: ItemTable, *, deep: NDArray[np.bool_] | bool = True) -> Scores:
        """The scores of a batch; `deep` (B,) or one for all says whose best candidates are re-scored.

        What the deep part adds is centred over the re-scored candidates of a user: a softmax does not fix
        its level, and the others must not rise or fall with it.
        Raises InputError when arrays do not fit together or a feature is not finite.
        """
        view = self.view(batch)
        return self.add_deep(batch, table, view=view, wide=self.wide_scores(view), deep=deep)

    def add_deep(
        self,
        batch: RankBatch,
        table: ItemTable,
        *,
        view: WideView,
        wide: NDArray[np.float32],
        deep: NDArray[np.bool_] | bool,
    ) -> Scores:
        """As `score`, for a batch whose `view` and `wide` scores (B, C) are at hand."""
        total = wide.copy()
        asked = np.broadcast_to(np.asarray(deep, np.bool_), (len(batch),))
        used = asked & view.valid.any(1) if self.deep else np.zeros(len(batch), np.bool_)
        tasks = np.full((*wide.shape, 3), np.nan, np.float32)
        users = np.flatnonzero(used)
        if self.deep and len(users):
            chosen = self.chosen(wide[users])
            rescored = view.valid[users[:, None], chosen]  # (n, K)
            output = self.deep.score(self.deep_inputs(batch, table, view=view, users=users, chosen=chosen))
            adds = np.where(rescored, output[:, :, 0], 0.0)
            adds = np.where(rescored, adds - (adds.sum(1) / rescored.sum(1))[:, None], 0.0)
            total[users[:, None], chosen] += adds
            probabilities = 1.0 / (1.0 + np.exp(-output[:, :, 1:]))
            tasks[users[:, None], chosen] = np.where(rescored[:, :, None], probabilities, np.nan)
        return Scores(wide, total, used, tasks)

    def view(self, batch: RankBatch) -> WideView:
        """The batch as the wide part reads it; InputError when it does not fit or is not finite."""
        expected = (*batch.candidates.shape, self.n_features)
        if batch.features.shape != expected or len(batch.history) != len(batch):
            raise InputError(
                f"features {batch.features.shape} must be {expected}, history {batch.history.shape} "
                f"must have {len(batch)} rows"
            )
        valid = batch.candidates != 0  # row 0 is padding by contract
        inputs, slates = self.wide.inputs(batch.features, valid=valid)
        return WideView(inputs, valid, slates.mean, slates.sd)

    def wide_scores(self, view: WideView) -> NDArray[np.float32]:
        """(B, C) float32, -inf at padding."""
        scores = np.full(view.valid.shape, -np.inf, np.float32)
        scores[view.valid] = self.wide.score_rows(view.inputs)
        return scores

    def chosen(self, wide: NDArray[np.float32]) -> NDArray[np.int64]:
        """(n, K) columns of the best candidates by wide score (n, C), best first; ties to the lower."""
        limit = self.config.deep.candidates if self.config.deep else 0
        return np.argsort(-wide, axis=1, kind="stable")[:, :limit]

    def deep_inputs(
        self,
        batch: RankBatch,
        table: ItemTable,
        *,
        view: WideView,
        users: NDArray[np.int64],
        chosen: NDArray[np.int64],
    ) -> DeepInputs:
        """What the deep part reads of `users` (n,) and their candidates in columns `chosen` (n, K)."""
        if self.config.deep is None:
            raise InputError("this ranker has no deep part")
        if table.vectors.shape[1] != self.dim:
            raise InputError(
                f"item vectors have {table.vectors.shape[1]} dimensions; the ranker has {self.dim}"
            )
        features = view.standardised(users=users, chosen=chosen)
        return deep_inputs(
            batch, table=table, users=users, chosen=chosen, features=features, config=self.config.deep
        )

    def explain(self, batch: RankBatch) -> NDArray[np.float32]:
        """(B, C, F) what each feature adds to each wide score (gradient x input), 0 at padding."""
        view = self.view(batch)
        shares = np.zeros(batch.features.shape, np.float32)
        shares[view.valid] = self.wide.attributions(view.inputs)
        return shares

    def snapshot(self) -> Arrays:
        """Everything that learns, float32 and float64, copied."""
        deep = with_prefix("deep", self.deep.snapshot()) if self.deep else {}
        return {**with_prefix("wide", self.wide.snapshot()), **deep}

    def restore(self, arrays: Arrays) -> None:
        """Take `snapshot`'s arrays; InputError, and nothing changed, when they do not fit."""
        check_arrays(arrays, expected=self.snapshot())
        self.wide.restore(under_prefix("wide", arrays))
        if self.deep:
            self.deep.restore(under_prefix("deep", arrays))

    def fingerprint(self) -> str:
        """16 hex digits: equal where the arrays of one ranker mean the same in the other."""
        shape = {
            "n_features": self.n_features,
            "dim": self.dim,
            "schema": self._schema,
            "wide_hidden": self.config.wide_hidden,
            "seed": self.config.seed if self.deep else None,
            "deep": self.config.deep.shape() if self.config.deep else None,
            **({"full": True} if self.config.full else {}),
        }
        return hashlib.sha256(json.dumps(shape, sort_keys=True).encode()).hexdigest()[:16]
