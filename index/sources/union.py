"""The union of all sources' proposals, cut to the C candidates that the ranker is to see."""

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from index.sources.topk import add_to, best_of, clear

Bools = NDArray[np.bool_]
F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
I16 = NDArray[np.int16]
I32 = NDArray[np.int32]

RANK_OFFSET = 60.0  # of reciprocal rank fusion, as in the paper


@dataclass(frozen=True, slots=True)
class Candidates:
    """B users' candidates; 0 pads, at the end of each row."""

    items: NDArray[np.int32]  # (B, C) item rows, distinct; the sources' first choices, then by fused rank
    features: NDArray[np.float32]  # (B, C, F) finite; zeros where padding
    sources: NDArray[np.int32]  # (B, C) bit s is set where source s proposed the item

    def __len__(self) -> int:
        return len(self.items)


@njit(nogil=True, cache=True)
def unite(
    proposed: I32,
    offsets: NDArray[np.int64],
    weights: F64,
    reserved: int,
    barred: Bools,
    fused: F64,
    place: I32,
    pool: I32,
    ranks: I16,
    bits: I32,
    items: I32,
    scores: F32,
) -> int:
    """Fill `items` (C,) with the best of one user's proposals by reciprocal rank fusion (Cormack et al.,
    SIGIR 2009); returns how many the pool held.

    `proposed` (P,): source s proposes `proposed[offsets[s] : offsets[s + 1]]`, best first, 0 pads; an item
    adds weights[s] / (60 + rank) to its sum. The first `reserved` that a source may propose come before all
    others, so that no source is starved. `barred` (N,) items are passed over. Ties go to the lower row.

    `pool` (P,) gets the distinct items met, `ranks` (P, S) 1 + their rank in each source (0 where it did not
    propose them) and `bits` (P,) the sources; `place` (N,) gets 1 + the place in the pool, and the caller
    zeroes it for the pool's items. `fused` (N,) is scratch, zeros on entry and return.
    """
    count = 0
    for source in range(len(offsets) - 1):
        first = offsets[source]
        privileged = reserved
        for at in range(first, offsets[source + 1]):
            item = proposed[at]
            if item == 0:
                break
            if barred[item]:
                continue
            rank = at - first
            gain = weights[source] / (RANK_OFFSET + rank)
            if privileged > 0:
                privileged -= 1
                if fused[item] < 1.0:
                    gain += 1.0
            known = count
            count = add_to(fused, pool, count, item, gain)
            if count > known:
                place[item] = count
                ranks[known, :] = 0
                bits[known] = 0
            ranks[place[item] - 1, source] = rank + 1
            bits[place[item] - 1] |= 1 << source
    best_of(pool, count, fused, items, scores)
    clear(fused, pool, count)
    return count
