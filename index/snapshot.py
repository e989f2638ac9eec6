"""Snapshot and restore of objects whose whole state is a dict of preallocated arrays."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from index.errors import SnapshotError

Arrays = Mapping[str, NDArray[np.generic]]


def copied(arrays: Arrays) -> dict[str, NDArray[np.generic]]:
    """Copies that share no memory with `arrays`."""
    return {name: array.copy() for name, array in arrays.items()}


def fill(arrays: Arrays, taken: Arrays, *, owner: str) -> None:
    """Copy `taken` into `arrays` in place, all or nothing.

    Raises SnapshotError, before anything is changed, when a name, a shape or a dtype differs.
    """
    if arrays.keys() != taken.keys():
        raise SnapshotError(f"{owner}: snapshot has {sorted(taken)}; expected {sorted(arrays)}")
    for name, array in arrays.items():
        if taken[name].shape != array.shape or taken[name].dtype != array.dtype:
            raise SnapshotError(
                f"{owner}.{name}: snapshot has {taken[name].dtype}{taken[name].shape}; "
                f"expected {array.dtype}{array.shape}"
            )
    for name, array in arrays.items():
        array[...] = taken[name]


def total_bytes(arrays: Arrays) -> int:
    """Bytes that `arrays` hold together."""
    return sum(array.nbytes for array in arrays.values())
