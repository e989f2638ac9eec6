"""The small exact tier that takes every upsert at once."""

import faiss
import numpy as np
from numpy.typing import NDArray

_FIRST_CAPACITY = 256


class FreshTier:
    """Vectors in one flat array, scanned exactly. Not thread-safe: ItemIndex holds its lock around it.

    A row is in it at most once. Removing moves the last vector into the hole, so every call is O(n * D).
    The array doubles when full and shrinks to what is left at `keep`, which ends every rebuild.
    """

    def __init__(self, dim: int) -> None:
        self._dim = dim
        self._place: dict[int, int] = {}
        self._rows = np.zeros(_FIRST_CAPACITY, dtype=np.int32)
        self._vectors = np.zeros((_FIRST_CAPACITY, dim), dtype=np.float32)

    def __len__(self) -> int:
        return len(self._place)

    @property
    def rows(self) -> NDArray[np.int32]:
        """(F,) int32, a view."""
        return self._rows[: len(self)]

    @property
    def vectors(self) -> NDArray[np.float32]:
        """(F, D) float32, a view."""
        return self._vectors[: len(self)]

    def upsert(self, rows: NDArray[np.int32], vectors: NDArray[np.float16]) -> None:
        """Give (n,) rows their (n, D) vectors; the last of a repeated row wins."""
        self._grow(len(self) + len(rows))
        for row, vector in zip(rows.tolist(), vectors, strict=True):
            place = self._place.setdefault(row, len(self._place))
            self._rows[place] = row
            self._vectors[place] = vector

    def keep(self, kept: NDArray[np.bool_]) -> None:
        """Forget every vector but the `kept` ones, (F,) bool in the order of `rows`."""
        rows, vectors = self.rows[kept], self.vectors[kept]  # copies
        self._place = {row: place for place, row in enumerate(rows.tolist())}
        capacity = max(_FIRST_CAPACITY, len(rows))
        self._rows = np.zeros(capacity, dtype=np.int32)
        self._vectors = np.zeros((capacity, self._dim), dtype=np.float32)
        self._rows[: len(rows)], self._vectors[: len(rows)] = rows, vectors

    def remove(self, rows: NDArray[np.int32]) -> None:
        """Forget (n,) rows; those that are not here are ignored."""
        for row in rows.tolist():
            hole = self._place.pop(row, None)
            if hole is None:
                continue
            last = len(self._place)
            if hole != last:
                moved = int(self._rows[last])
                self._rows[hole] = moved
                self._vectors[hole] = self._vectors[last]
                self._place[moved] = hole

    def search(
        self, queries: NDArray[np.float32], n: int, *, keep: NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """(Q, m) rows and inner products with m = min(n, rows kept). `keep` is (R,) bool by item row."""
        rows, vectors = self.rows, self.vectors
        if keep is not None:
            kept = keep[rows]
            rows, vectors = rows[kept], vectors[kept]
        m = min(n, len(rows))
        if m == 0 or len(queries) == 0:
            empty = (len(queries), 0)
            return np.zeros(empty, dtype=np.int32), np.zeros(empty, dtype=np.float32)
        scores, places = faiss.knn(queries, vectors, m, metric=faiss.METRIC_INNER_PRODUCT)
        return rows[places], scores

    def _grow(self, wanted: int) -> None:
        if wanted <= len(self._rows):
            return
        capacity = max(wanted, 2 * len(self._rows))
        used = len(self)
        rows = np.zeros(capacity, dtype=np.int32)
        vectors = np.zeros((capacity, self._dim), dtype=np.float32)
        rows[:used], vectors[:used] = self._rows[:used], self._vectors[:used]
        self._rows, self._vectors = rows, vectors
