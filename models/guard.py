"""The anchor beside a learner: weights that served and proved themselves, to judge by and to go back to."""

import numpy as np
from numpy.typing import NDArray

from models.batch import RankBatch
from models.features_scaler import wide_inputs
from models.metrics import rank_metrics
from models.metrics_kernel import fill_surprise
from models.promotion import Decision, Judged, Promotion, PromotionConfig, Verdict
from models.state import Arrays, under_prefix, with_prefix
from models.wide import WidePart

Floats = NDArray[np.float32]


class Guard:
    """Judges the weights that learn by the anchor's, on a sample of the units, wide parts only: the deep part is
    judged by its gate.

    Two copies of the weights are kept, because weights that learnt from poison prove themselves on it until it
    is found: the anchor, and a copy on probation that becomes the anchor when the next candidate is confirmed.
    Each has a stamp, the number of the adapter it was.
    """

    def __init__(
        self, config: PromotionConfig, *, n_features: int, hidden: tuple[int, ...], weights: Arrays, k: int
    ) -> None:
        """`weights`: what the learner starts with; those of the ranker's wide part are under `ranker.wide.`."""
        self.promotion = Promotion(config)
        self._scorer = WidePart(n_features, hidden=hidden, seed=0)
        self._k = k
        self._seen = 0
        self.begin(weights)

    def begin(self, weights: Arrays) -> None:
        """Take these weights for the anchor, whose stamp is 0."""
        self.anchor, self._probation = weights, weights
        self.stamp, self._probation_stamp = 0, 0
        self._scorer.restore(under_prefix("ranker.wide", weights))

    def judge(self, batch: RankBatch, scores: Floats, *, gains: Floats) -> None:
        """Compare on the next units, scored by the candidate as `scores` (B, C), -inf at padding."""
        valid = batch.candidates != 0
        telling = np.flatnonzero(((gains > 0) & valid).any(1))
        numbers = self._seen + np.arange(len(telling))
        self._seen += len(telling)
        rows = telling[numbers % self.promotion.config.sample_every == 0]
        if not len(rows):
            return
        shown = valid[rows]
        inputs, _ = wide_inputs(batch.features[rows], valid=shown, standardiser=self._scorer.standardiser)
        anchor = np.full(shown.shape, -np.inf, np.float32)
        anchor[shown] = self._scorer.score_rows(inputs)
        own, worth = scores[rows], np.where(shown, gains[rows], np.float32(0))
        finite = bool(np.isfinite(own[shown]).all())
        if not finite:
            own = np.where(shown & np.isfinite(own), own, np.float32(-1e30))
        self.promotion.observe(
            Judged(
                candidate=rank_metrics(own, gains=worth, k=self._k).ndcg,
                anchor=rank_metrics(anchor, gains=worth, k=self._k).ndcg,
                surprise=lower_half_surprise(anchor, gains=worth),
                own_surprise=lower_half_surprise(own, gains=worth),
                finite=finite,
            )
        )

    def decide(self, weights: Arrays, *, stamp: int) -> Verdict:
        """What serves from now on; `weights` are the candidate's, a copy, and `stamp` its adapter's number."""
        floats = [array for array in weights.values() if np.issubdtype(array.dtype, np.floating)]
        verdict = self.promotion.decide(finite=all(np.isfinite(array).all() for array in floats))
        if verdict.decision is Decision.CONFIRMED:
            self.anchor, self.stamp = self._probation, self._probation_stamp
            self._probation, self._probation_stamp = weights, stamp
        elif verdict.decision is Decision.ACCEPTED:
            self.anchor = self._probation = weights
            self.stamp = self._probation_stamp = stamp
        elif verdict.restarts:
            self._probation, self._probation_stamp = self.anchor, self.stamp
        else:
            return verdict
        self._scorer.restore(under_prefix("ranker.wide", self.anchor))
        return verdict

    @property
    def stamps(self) -> tuple[int, int]:
        """Of the anchor and of the copy on probation."""
        return self.stamp, self._probation_stamp

    def snapshot(self) -> Arrays:
        """Everything, copied."""
        return {
            **with_prefix("anchor", self.anchor),
            **with_prefix("probation", self._probation),
            **with_prefix("promotion", self.promotion.snapshot()),
            "counts": np.array([self._seen, *self.stamps], np.int64),
        }

    def restore(self, arrays: Arrays) -> None:
        """Take `snapshot`'s arrays; InputError when they do not fit."""
        self.promotion.restore(under_prefix("promotion", arrays))
        self.anchor, self._probation = under_prefix("anchor", arrays), under_prefix("probation", arrays)
        self._seen, self.stamp, self._probation_stamp = (int(count) for count in arrays["counts"])
        self._scorer.restore(under_prefix("ranker.wide", self.anchor))


def lower_half_surprise(scores: Floats, *, gains: Floats) -> NDArray[np.float64]:
    """(n,) share of the gains in the lower half of each ranking, less the mass that a softmax puts there.

    About 0 on average for scores that are calibrated as the listwise loss calibrates them.
    `scores`: (n, C), -inf at padding; `gains`: (n, C), positive somewhere.

    >>> even = np.zeros((1, 4), np.float32)
    >>> lower_half_surprise(even, gains=np.array([[0, 0, 0, 1]], np.float32))
    array([0.5])
    """
    surprise = np.empty(len(scores), np.float64)
    fill_surprise(np.ascontiguousarray(scores), np.ascontiguousarray(gains), surprise)
    return surprise
