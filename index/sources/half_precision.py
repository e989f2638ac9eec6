"""Arithmetic on float16 vectors inside numba kernels, which know the type only as 16 bits.

Kernels take `table.view(np.uint16)`. The conversion is one vector instruction (F16C on x86, FCVTL on Arm),
so the products run at the speed of float32 with half the memory traffic.
"""

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

F32 = NDArray[np.float32]
U16 = NDArray[np.uint16]


@intrinsic
def _as_float32(_typing: Any, _bits: Any) -> Any:
    """The float32 value of a float16 given as uint16 bits."""

    def generate(_context: Any, builder: Any, _signature: Any, args: Any) -> Any:
        return builder.fpext(builder.bitcast(args[0], ir.HalfType()), ir.FloatType())

    return types.float32(types.uint16), generate


as_float32: Any = _as_float32


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})
def dot3(vector: U16, first: F32, second: F32, third: F32) -> tuple[float, float, float]:
    """Inner products of one (D,) float16 vector with three (D,) float32 vectors."""
    a: Any = np.float32(0.0)
    b: Any = np.float32(0.0)
    c: Any = np.float32(0.0)
    for d in range(len(vector)):
        value = as_float32(vector[d])
        a += value * first[d]
        b += value * second[d]
        c += value * third[d]
    return a, b, c


@njit(nogil=True, cache=True)
def add_vector(total: F32, vector: U16, weight: float) -> None:
    """total += weight * vector, for (D,) float32 and (D,) float16."""
    for d in range(len(total)):
        total[d] += np.float32(weight) * as_float32(vector[d])


@njit(nogil=True, cache=True, fastmath={"reassoc", "contract"})
def normalise(vector: F32) -> None:
    """Scale (D,) to unit length in place; zeros stay zeros."""
    squares = np.float32(0.0)
    for d in range(len(vector)):
        squares += vector[d] * vector[d]
    if squares > 0.0:
        scale = np.float32(1.0) / np.sqrt(squares)
        for d in range(len(vector)):
            vector[d] *= scale
