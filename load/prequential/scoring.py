"""How good the lists of a run are: ranks of the targets, and from them every accuracy metric per unit.

Recall@k = hits / min(k, targets). NDCG@k: gains 1, discounted by log2(rank + 1), over the best possible for
min(k, targets) (Järvelin & Kekäläinen 2002). MRR@k: 1 / rank of the first hit. HitRate@k: any hit.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from load.prequential.units import Units

CUTS = (5, 10, 20)
METRICS = ("recall", "ndcg", "mrr", "hitrate")
F64 = NDArray[np.float64]


def target_ranks(lists: NDArray[np.int32], *, units: Units, n_items: int) -> NDArray[np.int64]:
    """(T,) the place, from 0, of each target in its unit's list (n, K); -1 where the list lacks it."""
    rows, places = np.nonzero(lists >= 0)
    keys = rows * n_items + lists[rows, places]
    order = np.argsort(keys)
    wanted = units.owners * n_items + units.items
    ranks = np.full(len(wanted), -1, np.int64)
    if not len(keys):
        return ranks
    at = np.minimum(np.searchsorted(keys[order], wanted), len(keys) - 1)
    found = keys[order[at]] == wanted
    ranks[found] = places[order[at[found]]]
    return ranks


def unit_metrics(ranks: NDArray[np.int64], *, units: Units, cuts: Iterable[int] = CUTS) -> dict[str, F64]:
    """(n,) values of each metric at each cut, as `recall@20`."""
    n, owners, sizes = len(units), units.owners, units.sizes
    ideal = np.cumsum(1.0 / np.log2(np.arange(2, max(cuts) + 2)))
    found: dict[str, F64] = {}
    for k in cuts:
        hit = (ranks >= 0) & (ranks < k)
        of, place = owners[hit], ranks[hit]
        best = np.minimum(sizes, k)
        first = np.full(n, k, np.int64)
        np.minimum.at(first, of, place)
        hits = np.bincount(of, minlength=n)
        found[f"recall@{k}"] = hits / best
        found[f"ndcg@{k}"] = (
            np.bincount(of, weights=1.0 / np.log2(place + 2.0), minlength=n) / ideal[best - 1]
        )
        found[f"mrr@{k}"] = np.where(hits > 0, 1.0 / (first + 1.0), 0.0)
        found[f"hitrate@{k}"] = (hits > 0).astype(np.float64)
    return found


def target_metrics(ranks: NDArray[np.int64], *, cuts: Iterable[int] = CUTS) -> dict[str, F64]:
    """(T,) the same for each target by itself: `recall@20` is whether it was found."""
    found: dict[str, F64] = {}
    for k in cuts:
        hit = (ranks >= 0) & (ranks < k)
        place = np.where(hit, ranks, 0)
        found[f"recall@{k}"] = hit.astype(np.float64)
        found[f"ndcg@{k}"] = np.where(hit, 1.0 / np.log2(place + 2.0), 0.0)
        found[f"mrr@{k}"] = np.where(hit, 1.0 / (place + 1.0), 0.0)
        found[f"hitrate@{k}"] = hit.astype(np.float64)
    return found
