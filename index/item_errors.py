"""What the item index refuses (its saved state raises index.errors.SnapshotError).

IndexFault
├── VectorError    a vector of the wrong shape, or one that no inner product can rank
└── RowError       an item row outside 1..max_row, or lists of unequal length
"""

from index.errors import IndexFault


class VectorError(IndexFault):
    """A vector has the wrong dimension, is not finite in float16, or is zero. Nothing was changed."""


class RowError(IndexFault):
    """An item row is not in 1..max_row, or there are not as many rows as vectors. Nothing was changed."""
