"""Groups of items whose texts are alike: what stands for the category where a shop gives none."""

import numpy as np
from numpy.typing import NDArray

from index.snapshot import copied, fill

F32 = NDArray[np.float32]


class TextGroups:
    """Leader clustering (Hartigan, Clustering Algorithms, 1975) of text vectors as they arrive.

    An item joins the group of the leader closest to it, or leads a new one where none is as close as `least`
    and there is room. Nothing is ever regrouped but an item whose text changed, so the groups are a function
    of the order in which the texts came, cost one product a text, and need no retraining. k-means makes
    rounder groups; it would have to be trained, versioned and told to every worker.
    """

    name = "text_groups"

    def __init__(self, *, dim: int, most: int = 200, least: float = 0.45) -> None:
        if most < 1 or not -1 < least < 1:
            raise ValueError(f"most is {most}, least {least}; expected >= 1, and in (-1, 1)")
        self.least = least
        self._leaders = np.zeros((most, dim), np.float32)  # (G, D) unit length
        self._used = np.zeros(1, np.int64)

    def __len__(self) -> int:
        """Groups so far."""
        return int(self._used[0])

    def join(self, vectors: F32) -> NDArray[np.int32]:
        """(R,) int32 group, from 1, of each of (R, D) unit vectors, in their order; 0 for a zero vector."""
        groups = np.zeros(len(vectors), np.int32)
        for at, vector in enumerate(vectors):
            if not vector.any():
                continue
            used = len(self)
            near = self._leaders[:used] @ vector  # (G,)
            if used < len(self._leaders) and (used == 0 or near.max() < self.least):
                self._leaders[used] = vector
                self._used += 1
                groups[at] = used + 1
            else:
                groups[at] = near.argmax() + 1
        return groups

    def snapshot(self) -> dict[str, NDArray[np.generic]]:
        """Leaders and their number."""
        return copied(self._arrays())

    def restore(self, arrays: dict[str, NDArray[np.generic]]) -> None:
        """Take `snapshot`'s arrays; SnapshotError when names, shapes or dtypes differ."""
        fill(self._arrays(), arrays, owner=self.name)

    def _arrays(self) -> dict[str, NDArray[np.generic]]:
        return {"leaders": self._leaders, "used": self._used}
