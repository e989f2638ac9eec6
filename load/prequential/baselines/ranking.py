"""The best k of scattered totals, and filling a short list up."""

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(nogil=True, cache=True)  # type: ignore[misc, unused-ignore]
def best_of(totals: NDArray[np.float64], touched: NDArray[np.int32], n: int, k: int) -> NDArray[np.int64]:
    """The up to k codes of `touched[:n]` with the largest totals, best first, ties to the first touched.

    `totals`: (N,) float64 by item code; an item whose total is 0 or less is left out. `touched`: (>= n,) int32
    distinct codes. The totals of the touched are set back to 0.
    """
    best = np.empty(k, np.int64)
    scores = np.empty(k, np.float64)
    size = 0
    for at in range(n):
        item = touched[at]
        score = totals[item]
        totals[item] = 0.0
        if score <= 0.0 or (size == k and score <= scores[size - 1]):
            continue
        place = size if size < k else k - 1
        while place > 0 and scores[place - 1] < score:
            scores[place] = scores[place - 1]
            best[place] = best[place - 1]
            place -= 1
        scores[place] = score
        best[place] = item
        if size < k:
            size += 1
    return best[:size]


def filled(
    picked: NDArray[np.int64], *, fill: NDArray[np.int64], k: int, without: int = -1
) -> NDArray[np.int64]:
    """`picked`, then of `fill` what is not in it yet, up to k: (<= k,) int64. Never the item `without`."""
    if without >= 0:
        picked = picked[picked != without]
    if len(picked) >= k:
        return picked[:k]
    taken = {int(i) for i in picked}
    taken.add(without)
    more = [int(i) for i in fill if int(i) not in taken]
    return np.concatenate([picked, np.array(more[: k - len(picked)], np.int64)])
