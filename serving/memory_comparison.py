"""While a drift is answered: would a shopper's latest items alone have ranked better than all of them, or worse?"""

import numpy as np
from numpy.typing import NDArray

from models.drift import Drift
from models.metrics import rank_metrics
from serving.asked import Asked
from serving.baselines import hits_of
from serving.recommender import Recommender


def compare_memories(
    asked: Asked,
    *,
    served: NDArray[np.float32],
    gains: NDArray[np.float32],
    recommender: Recommender,
    drift: Drift,
) -> None:
    """Rank the units by the memory that does not serve too, and tell `drift` what both came to.

    Only while the latest items are on trial: once given up, nothing is ranked twice.

    served, gains: (B, C) wide scores and worths of the candidates by the memory that serves. What answers a slate
    says nothing: it was chosen among what one of the two showed. The measure is NDCG over all candidates, which tells
    more of few units than that of the first 20.
    """
    counts = asked.warm & asked.unaided
    latest_items = drift.remembered
    if latest_items is None or not counts.any():
        return
    whole_serves = recommender.remembered is None
    remembered = latest_items if whole_serves else None
    other = recommender.rank_by(asked.view, remembered=remembered, now_ms=asked.now_ms)
    scores = recommender.ranker.wide_scores(recommender.ranker.view(other.batch))
    ndcg_served = _ndcg(served, gains=gains, asked=asked)[counts]
    other_gains = hits_of(other.candidates.items, targets=asked.targets)
    ndcg_other = _ndcg(scores, gains=other_gains, asked=asked)[counts]
    latest, whole = (ndcg_other, ndcg_served) if whole_serves else (ndcg_served, ndcg_other)
    drift.memory.observe(latest=latest, whole=whole)


def _ndcg(scores: NDArray[np.float32], *, gains: NDArray[np.float32], asked: Asked) -> NDArray[np.float32]:
    return rank_metrics(scores, gains=gains, k=scores.shape[1], relevant=asked.relevant).ndcg
