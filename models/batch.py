"""What the ranker scores and learns from: arrays only, so that serving and training build the same thing."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ItemTable:
    """What the deep part knows of each item row. Row 0 is padding: zeros. A view of live arrays, not a copy."""

    vectors: NDArray[np.float16]  # (N, D) unit-length text vectors; zeros where an item has no text yet
    hashes: NDArray[np.int64]  # (N,) stable_hash of the item id: the key of its learned id part


@dataclass(frozen=True, slots=True)
class RankBatch:
    """B users, C candidates each, T items of history."""

    candidates: NDArray[np.int32]  # (B, C) item rows, 0 is padding
    features: NDArray[np.float32]  # (B, C, F) raw source features, zeros where padding
    history: NDArray[np.int32]  # (B, T) item rows, most recent first, 0 is padding
    history_kinds: NDArray[np.int8]  # (B, T) events.columns.Kind of the last touch
    history_ages_ms: NDArray[np.int64]  # (B, T) now minus the last touch, >= 0

    def __len__(self) -> int:
        return len(self.candidates)
