"""Exact search in plain numpy: what ItemIndex must agree with, and nothing it shares code with."""

import numpy as np
from numpy.typing import NDArray


class ExactIndex:
    """A dictionary of vectors, scanned whole: the oracle of the item index.

    Same meaning as `index.items.ItemIndex`: float16 vectors, inner product, ties to the lower row, 0 pads.

    >>> index = ExactIndex(2)
    >>> index.upsert(np.array([3, 5]), np.array([[1.0, 0.0], [0.0, 1.0]], np.float32))
    >>> index.search(np.array([[0.5, 1.0]], np.float32), 3)
    (array([[5, 3, 0]], dtype=int32), array([[1. , 0.5, 0. ]], dtype=float32))
    """

    def __init__(self, dim: int) -> None:
        self.dim = dim
        self._vectors: dict[int, NDArray[np.float32]] = {}

    def __len__(self) -> int:
        return len(self._vectors)

    def __contains__(self, row: int) -> bool:
        return row in self._vectors

    def upsert(self, rows: NDArray[np.int32], vectors: NDArray[np.float32]) -> None:
        """Give (n,) rows their (n, D) vectors; the last of a repeated row wins."""
        for row, vector in zip(rows.tolist(), vectors, strict=True):
            self._vectors[row] = vector.astype(np.float16).astype(np.float32)

    def remove(self, rows: NDArray[np.int32]) -> None:
        """Forget (n,) rows; unknown ones are ignored."""
        for row in rows.tolist():
            self._vectors.pop(row, None)

    def search(
        self,
        vectors: NDArray[np.float32],
        n: int,
        *,
        allowed: NDArray[np.bool_] | None = None,
        exclude: NDArray[np.int32] | None = None,
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """(Q, n) int32 rows and float32 inner products of (Q, D) queries, best first; 0 pads."""
        rows_out = np.zeros((len(vectors), n), dtype=np.int32)
        scores_out = np.zeros((len(vectors), n), dtype=np.float32)
        for at, query in enumerate(vectors):
            if not query.any():
                continue
            banned = set() if exclude is None else set(exclude[at].tolist())
            scored = sorted(
                (-float(query @ vector), row)
                for row, vector in self._vectors.items()
                if row not in banned and (allowed is None or (row < len(allowed) and allowed[row]))
            )
            for place, (negated, row) in enumerate(scored[:n]):
                rows_out[at, place] = row
                scores_out[at, place] = -negated
        return rows_out, scores_out
