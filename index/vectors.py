"""What the index accepts as rows and vectors, and the rounding that makes every tier score alike."""

import numpy as np
from numpy.typing import NDArray

from index.item_errors import RowError, VectorError


def checked_rows(rows: NDArray[np.int32], *, max_row: int) -> NDArray[np.int32]:
    """`rows` as (n,) int32. RowError where one is outside 1..max_row."""
    array = np.asarray(rows)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise RowError(f"rows are {array.dtype} of shape {array.shape}; they must be (n,) integers")
    bad = (array < 1) | (array > max_row)
    if bad.any():
        raise RowError(f"row {array[bad][0]} is outside 1..{max_row} (row 0 is padding)")
    return array.astype(np.int32, copy=False)


def checked_vectors(vectors: NDArray[np.float32], *, dim: int) -> NDArray[np.float16]:
    """`vectors` (n, dim) rounded to float16, the precision of every tier.

    VectorError for another shape, for NaN or infinity (also after rounding), and for a vector of zeros.
    """
    array = np.asarray(vectors)
    if array.ndim != 2 or array.shape[1] != dim or array.dtype.kind != "f":
        raise VectorError(f"vectors are {array.dtype} of shape {array.shape}; they must be (n, {dim}) floats")
    with np.errstate(over="ignore"):
        rounded = array.astype(np.float16)
    bad = ~np.isfinite(rounded).all(axis=1)
    if bad.any():
        raise VectorError(f"vector {int(np.argmax(bad))} is not finite in float16 (|x| <= 65504)")
    zero = ~rounded.any(axis=1)
    if zero.any():
        raise VectorError(f"vector {int(np.argmax(zero))} is zero in float16: it is near nothing")
    return rounded


def checked_queries(vectors: NDArray[np.float32], *, dim: int) -> NDArray[np.float32]:
    """`vectors` as (Q, dim) contiguous float32, zeros allowed. VectorError for another shape or NaN."""
    array = np.ascontiguousarray(vectors, dtype=np.float32)
    if array.ndim != 2 or array.shape[1] != dim:
        raise VectorError(f"queries have shape {array.shape}; they must be (Q, {dim})")
    if not np.isfinite(array).all():
        raise VectorError("a query is not finite")
    return array
