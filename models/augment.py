"""Augmented histories for training: crop, mask and reorder.

Xie et al. (2022), Contrastive learning for sequential recommendation (CL4SRec), whose three operators these are;
here they make the training data itself more varied.
"""

from dataclasses import replace
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from models.deep import DeepInputs
from models.deep_config import Augmentation
from models.errors import ConfigError

CROPPED = 0.6  # share of the history that a crop keeps
MASKED = 0.3  # chance of each item to be masked
REORDERED = 0.3  # share of the history that is shuffled


def augmented(
    inputs: DeepInputs, *, operators: tuple[Augmentation, ...], generator: np.random.Generator
) -> DeepInputs:
    """The same users, each with a history changed by one operator drawn by lot, or by none: as likely as each.

    crop keeps a contiguous part, as if the user had come earlier or been forgotten earlier; mask hides single
    items; reorder shuffles a contiguous part. Candidates stay as they are, and no history gets empty.
    """
    if unknown := [name for name in operators if name not in get_args(Augmentation)]:
        raise ConfigError(f"no augmentation is called {unknown[0]!r}; there are {get_args(Augmentation)}")
    if not operators:
        return inputs
    users, length = inputs.kinds.shape
    order = np.tile(np.arange(length), (users, 1))  # (B, T)
    kept = inputs.valid[:, :length].copy()
    for user in range(users):
        there = int(kept[user].sum())
        drawn = int(generator.integers(len(operators) + 1))
        if there < 2 or drawn == len(operators):
            continue
        match operators[drawn]:
            case "crop":
                _crop(order[user], kept[user], there=there, generator=generator)
            case "mask":
                _mask(kept[user], there=there, generator=generator)
            case "reorder":
                _reorder(order[user], there=there, generator=generator)
    return _reordered(inputs, order=order, kept=kept)


def _crop(
    order: NDArray[np.int64], kept: NDArray[np.bool_], *, there: int, generator: np.random.Generator
) -> None:
    size = max(1, round(CROPPED * there))
    start = int(generator.integers(there - size + 1))
    order[:] = np.roll(order, -start)
    kept[:] = np.arange(len(kept)) < size


def _mask(kept: NDArray[np.bool_], *, there: int, generator: np.random.Generator) -> None:
    hidden = generator.random(there) < MASKED
    hidden[int(generator.integers(there))] = False
    kept[:there] &= ~hidden


def _reorder(order: NDArray[np.int64], *, there: int, generator: np.random.Generator) -> None:
    size = min(there, max(2, round(REORDERED * there)))
    start = int(generator.integers(there - size + 1))
    order[start : start + size] = generator.permutation(order[start : start + size])


def _reordered(inputs: DeepInputs, *, order: NDArray[np.int64], kept: NDArray[np.bool_]) -> DeepInputs:
    """`inputs` with the history at `order` (B, T), seen where `kept` (B, T)."""
    length = order.shape[1]
    rows = np.arange(len(order))[:, None]
    vectors, buckets, valid = inputs.vectors.copy(), inputs.buckets.copy(), inputs.valid.copy()
    vectors[:, :length] = inputs.vectors[rows, order]
    buckets[:, :length] = inputs.buckets[rows, order]
    valid[:, :length] = kept
    return replace(
        inputs,
        vectors=vectors,
        buckets=buckets,
        kinds=inputs.kinds[rows, order],
        gaps=inputs.gaps[rows, order],
        valid=valid,
    )
