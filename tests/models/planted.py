"""Slates whose right answer is known by construction."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from events.columns import Kind
from models.batch import ItemTable, RankBatch

CLUSTERS = 8
ITEMS = 401  # row 0 is padding
DIM = 16


@dataclass(frozen=True)
class Slates:
    batch: RankBatch
    gains: NDArray[np.float32]


def clustered_table(*, seed: int = 0, dim: int = DIM) -> ItemTable:
    """Item row r is of cluster r % CLUSTERS; items of a cluster have nearly the same text vector."""
    rng = np.random.default_rng(seed)
    centres = np.linalg.qr(rng.normal(size=(dim, dim)))[0][:CLUSTERS]
    vectors = centres[np.arange(ITEMS) % CLUSTERS] + 0.05 * rng.normal(size=(ITEMS, dim))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[0] = 0.0
    hashes = rng.integers(1, 2**62, ITEMS)
    hashes[0] = 0
    return ItemTable(vectors.astype(np.float16), hashes)


def slates(
    seed: int, *, users: int = 32, candidates: int = 24, features: int = 6, history: int = 6
) -> RankBatch:
    """Noise all over: nothing in it says which candidate is right."""
    rng = np.random.default_rng(seed)
    rows = np.array([rng.permutation(np.arange(1, ITEMS))[:candidates] for _ in range(users)], np.int32)
    raw = rng.normal(size=(users, candidates, features)) * 10.0 ** np.arange(-2, features - 2) + 3.0
    return RankBatch(
        candidates=rows,
        features=raw.astype(np.float32),
        history=rng.integers(1, ITEMS, (users, history)).astype(np.int32),
        history_kinds=rng.integers(Kind.CLICK, Kind.REFUND, (users, history)).astype(np.int8),
        history_ages_ms=np.sort(rng.integers(0, 10**9, (users, history)), axis=1),
    )


def one_hot(columns: NDArray[np.int64], *, width: int) -> NDArray[np.float32]:
    return np.eye(width, dtype=np.float32)[columns]


def noise(seed: int, **sizes: int) -> Slates:
    """The right candidate is drawn by lot."""
    batch = slates(seed, **sizes)
    lot = np.random.default_rng(seed + 10**6).integers(0, batch.candidates.shape[1], len(batch))
    return Slates(batch, one_hot(lot, width=batch.candidates.shape[1]))


def by_feature(seed: int, **sizes: int) -> Slates:
    """The right candidate has the slate's largest second feature."""
    batch = slates(seed, **sizes)
    return Slates(batch, one_hot(batch.features[:, :, 1].argmax(1), width=batch.candidates.shape[1]))


def by_last_item(seed: int, *, users: int = 32, features: int = 3, history: int = 4) -> Slates:
    """One candidate of each cluster; the right one has the cluster of the latest item of the history.

    The features say nothing, and the rest of the history is of other clusters: only text and order tell.
    """
    rng = np.random.default_rng(seed)
    batch = slates(seed, users=users, candidates=CLUSTERS, features=features, history=history)
    clusters = np.array([rng.permutation(CLUSTERS) for _ in range(users)])
    batch.candidates[:] = CLUSTERS * rng.integers(1, ITEMS // CLUSTERS, clusters.shape) + clusters
    past = np.array([rng.permutation(CLUSTERS)[:history] for _ in range(users)])
    batch.history[:] = CLUSTERS * rng.integers(1, ITEMS // CLUSTERS, past.shape) + past
    right = (clusters == past[:, :1]).argmax(1)
    return Slates(batch, one_hot(right, width=CLUSTERS))


def stream(make: object, *, batches: int, start: int = 0) -> Iterator[Slates]:
    """`batches` different slates from one of the generators above."""
    assert callable(make)
    for number in range(start, start + batches):
        yield make(number)
