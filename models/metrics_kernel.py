"""The compiled loops behind models.metrics and models.guard: a unit of 150 candidates in microseconds, where arrays
of one unit cost a hundred of them."""

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(nogil=True, cache=True)
def fill_metrics(
    scores: NDArray[np.float32],
    gains: NDArray[np.float32],
    relevant: NDArray[np.int64],
    k: int,
    recall: NDArray[np.float32],
    ndcg: NDArray[np.float32],
    mrr: NDArray[np.float32],
    hit: NDArray[np.float32],
) -> None:
    """Fill the (B,) outputs as `rank_metrics` says, from scores and gains (B, C) and relevant (B,)."""
    b, c = scores.shape
    discount = 1.0 / np.log2(np.arange(2, 2 + k))  # (k,)
    ideal = np.zeros(k + 1)
    for place in range(k):
        ideal[place + 1] = ideal[place] + discount[place]
    taken = np.zeros(k, np.bool_)  # which of the first k places hold a hit
    for u in range(b):
        taken[:] = False
        for at in range(c):
            own = scores[u, at]
            if not (gains[u, at] > 0 and own > -np.inf):
                continue
            place = 0  # how many rank before: higher ones, and equal ones further left
            for other in range(c):
                rival = scores[u, other]
                place += rival > own or (rival == own and other < at)
            if place < k:
                taken[place] = True
        hits, first, found = 0, 0, 0.0
        for place in range(k):
            if taken[place]:
                hits += 1
                found += discount[place]
                if first == 0:
                    first = place + 1
        possible = min(relevant[u], k)
        recall[u] = hits / possible if possible > 0 else 0.0
        ndcg[u] = found / ideal[possible] if possible > 0 else 0.0
        mrr[u] = 1.0 / first if first > 0 else 0.0
        hit[u] = 1.0 if first > 0 else 0.0


@njit(nogil=True, cache=True)
def fill_surprise(
    scores: NDArray[np.float32], gains: NDArray[np.float32], surprise: NDArray[np.float64]
) -> None:
    """Fill (n,) `surprise` as `lower_half_surprise` says, from scores and gains (n, C)."""
    n, c = scores.shape
    for u in range(n):
        order = np.argsort(-scores[u], kind="mergesort")
        there = 0
        for at in range(c):
            there += scores[u, at] > -np.inf
        best = np.float64(scores[u, order[0]])
        upper = (there + 1) // 2
        mass, low_mass, worth, low_worth = 0.0, 0.0, 0.0, 0.0
        for place in range(c):
            at = order[place]
            softmax = np.exp(np.float64(scores[u, at]) - best)
            gain = np.float64(gains[u, at])
            mass += softmax
            worth += gain
            if upper <= place < there:
                low_mass += softmax
                low_worth += gain
        surprise[u] = low_worth / worth - low_mass / mass
