"""Powers of two in fixed point, made of integer arithmetic alone: equal to the last bit on every machine."""

from functools import cache
from math import isqrt

import numpy as np
from numpy.typing import NDArray

from serving.state_layout import ONE, ONE_BITS

STEPS_BITS = 8
STEPS = 1 << STEPS_BITS  # table steps in one half-life; between them the fold kernel interpolates


@cache
def half_life_table() -> NDArray[np.int64]:
    """(STEPS + 1,) int64: floor(2^(-k / STEPS) * ONE), k half-life steps from 0 to STEPS; read-only.

    ONE * 2^(-k / STEPS) is the STEPS-th root of 2^(ONE_BITS * STEPS - k); STEPS is a power of two, so a
    chain of integer square roots finds its floor.

    >>> half_life_table()[[0, STEPS // 2, STEPS]] / ONE
    array([1.        , 0.70710677, 0.5       ])
    """
    table = np.empty(STEPS + 1, dtype=np.int64)
    for step in range(STEPS + 1):
        root = 1 << (ONE_BITS * STEPS - step)
        for _ in range(STEPS_BITS):
            root = isqrt(root)
        table[step] = root
    table.setflags(write=False)
    if table[0] != ONE:
        raise ArithmeticError(f"the table of half-lives starts with {table[0]}; expected {ONE}")
    return table
