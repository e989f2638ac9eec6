"""What the set of sources needs of the item index, and of everything that it saves."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from index.sources.base import LearnBatch


class VectorIndex(Protocol):
    """What the set needs of the item index; rows are the set's item rows."""

    def search(
        self, vectors: NDArray[np.float32], n: int, /
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The n nearest of (Q, D): rows (Q, n), 0 pads, and inner products (Q, n)."""

    def upsert(self, rows: NDArray[np.int32], vectors: NDArray[np.float32], /) -> None:
        """Give (R,) rows their vectors (R, D)."""

    def remove(self, rows: NDArray[np.int32], /) -> None:
        """Forget (R,) rows; those not held are ignored."""


class Stateful(Protocol):
    """What can be saved and taken back."""

    def snapshot(self) -> dict[str, NDArray[np.generic]]: ...

    def restore(self, arrays: dict[str, NDArray[np.generic]]) -> None: ...


class Learns(Protocol):
    """What every batch is told to, and forgets items."""

    def learn(self, batch: LearnBatch) -> None:
        """Fold the batch in."""

    def evict(self, items: NDArray[np.int32]) -> None:
        """Forget these rows: they will stand for other items."""
