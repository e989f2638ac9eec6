"""Which rows a search may return, and how the lists of several tiers become one."""

import numpy as np
from numpy.typing import NDArray

from index.item_errors import RowError


def padded(allowed: NDArray[np.bool_], *, rows: int) -> NDArray[np.bool_]:
    """`allowed` (N,) bool by item row as (rows,) bool; rows beyond its end are not allowed."""
    mask = np.asarray(allowed)
    if mask.ndim != 1 or mask.dtype != np.bool_:
        raise RowError(f"allowed is {mask.dtype} of shape {mask.shape}; it must be (N,) bool by item row")
    out = np.zeros(rows, dtype=np.bool_)
    out[: min(rows, len(mask))] = mask[:rows]
    return out


def merge(
    parts: list[tuple[NDArray[np.int32], NDArray[np.float32]]],
    n: int,
    *,
    exclude: NDArray[np.int32] | None = None,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """The best n of several (Q, m) lists: (Q, n) int32 rows and (Q, n) float32 scores, best first.

    No row may be in two lists of one query. Ties go to the lower row; 0 pads rows and scores. `exclude` is
    (Q, X) int32: rows that the query may not get, 0 is padding.

    >>> a = (np.array([[4, 2]], np.int32), np.array([[0.9, 0.5]], np.float32))
    >>> b = (np.array([[7, 0]], np.int32), np.array([[0.7, 0.0]], np.float32))
    >>> merge([a, b], 4, exclude=np.array([[2]], np.int32))[0]
    array([[4, 7, 0, 0]], dtype=int32)
    """
    rows = np.concatenate([part[0] for part in parts], axis=1)  # (Q, M)
    scores = np.concatenate([part[1] for part in parts], axis=1)  # (Q, M)
    real = rows > 0
    if exclude is not None and exclude.shape[1]:
        # one sorted list of (query, row) keys: a test of membership that is linear in Q, not in Q * X * M
        query = np.arange(len(rows), dtype=np.int64)[:, None] << 32
        real &= ~np.isin(query | rows, query | exclude)
    keys = np.where(real, -scores, np.inf)
    best = np.lexsort((rows, keys), axis=1)[:, :n]  # (Q, min(M, n))
    kept = np.take_along_axis(real, best, axis=1)
    out_rows = np.zeros((len(rows), n), dtype=np.int32)
    out_scores = np.zeros((len(rows), n), dtype=np.float32)
    out_rows[:, : best.shape[1]] = np.where(kept, np.take_along_axis(rows, best, axis=1), 0)
    out_scores[:, : best.shape[1]] = np.where(kept, np.take_along_axis(scores, best, axis=1), 0)
    return out_rows, out_scores


def check_exclude(exclude: NDArray[np.int32] | None, *, queries: int) -> None:
    """RowError unless `exclude` is None or one list of rows per query."""
    if exclude is not None and (exclude.ndim != 2 or len(exclude) != queries):
        raise RowError(f"exclude has shape {exclude.shape}; it must be ({queries}, X), one list per query")
