"""Kernels that select the best of few or many scored rows, exactly and deterministically."""

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(nogil=True, cache=True)
def worse(score: float, row: int, than_score: float, than_row: int) -> bool:
    """Whether (score, row) ranks below (than_score, than_row): higher scores first, ties by lower row."""
    return score < than_score or (score == than_score and row > than_row)


@njit(nogil=True, cache=True)
def _sift_down(scores: NDArray[np.float32], rows: NDArray[np.int32], at: int, size: int) -> None:
    """Restore the heap whose root is its worst entry, below `at`."""
    score, row = scores[at], rows[at]
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        if child + 1 < size and worse(scores[child + 1], rows[child + 1], scores[child], rows[child]):
            child += 1
        if not worse(scores[child], rows[child], score, row):
            break
        scores[at], rows[at] = scores[child], rows[child]
        at = child
    scores[at], rows[at] = score, row


@njit(nogil=True, cache=True)
def best_of(
    touched: NDArray[np.int32],
    count: int,
    totals: NDArray[np.float64],
    out_rows: NDArray[np.int32],
    out_scores: NDArray[np.float32],
) -> int:
    """Write the best of `touched[:count]` by `totals`, best first; returns how many.

    `touched` (≥ count,) int32: distinct rows; `totals` (R,) float64 by row. `out_rows` (n,) int32 and
    `out_scores` (n,) float32 take at most n rows whose float32 score is above 0; the rest becomes 0. Scores
    are compared as float32, ties go to the lower row, so the order of `touched` does not matter.
    """
    limit = len(out_rows)
    size = 0
    for at in range(count):
        row = touched[at]
        score = float(np.float32(totals[row]))
        if not score > 0:
            continue
        if size < limit:
            out_scores[size], out_rows[size] = score, row
            size += 1
            if size == limit:
                for root in range(size // 2 - 1, -1, -1):
                    _sift_down(out_scores, out_rows, root, size)
        elif worse(out_scores[0], out_rows[0], score, row):
            out_scores[0], out_rows[0] = score, row
            _sift_down(out_scores, out_rows, 0, size)
    if size < limit:
        for root in range(size // 2 - 1, -1, -1):
            _sift_down(out_scores, out_rows, root, size)
    for last in range(size - 1, 0, -1):
        out_scores[0], out_scores[last] = out_scores[last], out_scores[0]
        out_rows[0], out_rows[last] = out_rows[last], out_rows[0]
        _sift_down(out_scores, out_rows, 0, last)
    out_rows[size:] = 0
    out_scores[size:] = 0
    return size


@njit(nogil=True, cache=True)
def add_to(
    totals: NDArray[np.float64], touched: NDArray[np.int32], count: int, row: int, amount: float
) -> int:
    """totals[row] += amount (> 0), noting `row` in `touched` the first time; returns the new count."""
    if totals[row] == 0:
        touched[count] = row
        count += 1
    totals[row] += amount
    return count


@njit(nogil=True, cache=True)
def clear(totals: NDArray[np.float64], touched: NDArray[np.int32], count: int) -> None:
    """Zero the totals that `add_to` touched."""
    for at in range(count):
        totals[touched[at]] = 0
