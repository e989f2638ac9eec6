"""The large tier over FAISS: SQfp16 flat up to some 100,000 items, IVF with a hashtable direct map beyond.

Both store float16 codes, so that moving a vector between tiers never changes its score. Neither knows which
of its entries are still true: ItemIndex says so with `keep` at every search (the tombstones).
"""

import math
from collections.abc import Callable
from typing import Any, Protocol

import faiss
import numpy as np
from numpy.typing import NDArray

from index.errors import SnapshotError

_POINTS_PER_LIST = 39  # fewer training points a list, and FAISS calls the clustering unreliable
_TRAINING_POINTS_PER_LIST = 64  # more of them cost time and bring no recall
_CHUNK = 16_384  # vectors widened to float32 at once
_SEED = 1234  # of the training sample: the same vectors give the same lists


class MainTier(Protocol):
    """Vectors by item row. `keep` is (R,) bool by row, true of rows held only; None keeps all."""

    @property
    def kind(self) -> str:
        """The name of the structure, as the manifest of a snapshot has it."""

    @property
    def rows(self) -> NDArray[np.int32]:
        """(M,) rows held, tombstones included."""

    def __len__(self) -> int: ...

    def search(
        self, queries: NDArray[np.float32], n: int, *, keep: NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """(Q, m) rows and inner products, m <= n; 0 pads."""

    def vectors(self, rows: NDArray[np.int32]) -> NDArray[np.float16]:
        """(n, D) of (n,) rows, all of them held."""

    def faiss_index(self) -> Any:
        """The CPU index that `faiss.write_index` saves."""


class FlatTier:
    """Every vector scanned: exact. Never changed once built."""

    kind = "flat"

    def __init__(self, index: Any, *, rows: NDArray[np.int32]) -> None:
        self.rows = rows
        self._index = index
        self._place_of = np.full(int(rows.max(initial=0)) + 1, -1, dtype=np.int32)
        self._place_of[rows] = np.arange(len(rows), dtype=np.int32)

    @classmethod
    def build(cls, rows: NDArray[np.int32], vectors: NDArray[np.float16]) -> "FlatTier":
        """A tier of (M,) rows and their (M, D) vectors."""
        dim = vectors.shape[1]
        index = faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
        for start in range(0, len(rows), _CHUNK):
            index.add(vectors[start : start + _CHUNK].astype(np.float32))
        return cls(index, rows=rows.copy())

    def __len__(self) -> int:
        return len(self.rows)

    def search(
        self, queries: NDArray[np.float32], n: int, *, keep: NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """See MainTier; exact."""
        kept = None if keep is None else keep[self.rows]
        m = min(n, len(self) if kept is None else int(np.count_nonzero(kept)))
        if m == 0 or len(queries) == 0:
            return _nothing(len(queries))
        if kept is None:
            scores, places = self._index.search(queries, m)
        else:
            bits = np.packbits(kept, bitorder="little")
            selector = faiss.IDSelectorBitmap(len(self), faiss.swig_ptr(bits))
            params = faiss.SearchParameters()
            params.sel = selector
            scores, places = self._index.search(queries, m, params=params)
        return _padded(np.where(places >= 0, self.rows[places], 0), scores)

    def vectors(self, rows: NDArray[np.int32]) -> NDArray[np.float16]:
        """See MainTier."""
        size = self._index.ntotal * self._index.sa_code_size()
        raw: NDArray[np.uint8] = faiss.rev_swig_ptr(self._index.codes.data(), size)
        codes = raw.view(np.float16).reshape(self._index.ntotal, self._index.d)
        return codes[self._place_of[rows]]  # a copy: the view lives no longer than the index

    def faiss_index(self) -> Any:
        """See MainTier."""
        return self._index


class IvfTier:
    """Inverted lists with the item row as the id, so that entries can be taken out and put in one by one.

    Approximate: `nprobe` of about 4 sqrt(M) lists are read. `absorb` is the only call that changes it.
    """

    kind = "ivf"

    def __init__(self, index: Any, *, rows: NDArray[np.int32], nprobe: int, trained_on: int) -> None:
        self.trained_on = trained_on
        self._index = index
        self._index.nprobe = min(nprobe, index.nlist)  # of a copy on a GPU, which takes no parameters
        self._nprobe = nprobe
        self._held = np.zeros(int(rows.max(initial=0)) + 1, dtype=np.bool_)
        self._held[rows] = True

    @classmethod
    def build(
        cls,
        rows: NDArray[np.int32],
        vectors: NDArray[np.float16],
        *,
        nprobe: int,
        searched_on: Callable[[Any], Any] = lambda flat: flat,
    ) -> "IvfTier":
        """A tier of (M,) rows and their (M, D) vectors, its lists trained on a sample of them.

        `searched_on` copies a flat index to where finding the nearest centroid is fast, a GPU, say: that is
        nearly all of the work, in training and in assigning.
        """
        n, dim = vectors.shape
        lists = max(1, min(int(4 * math.sqrt(n)), n // _POINTS_PER_LIST))
        index = faiss.IndexIVFScalarQuantizer(
            faiss.IndexFlatIP(dim),
            dim,
            lists,
            faiss.ScalarQuantizer.QT_fp16,
            faiss.METRIC_INNER_PRODUCT,
            False,  # codes of the vectors themselves, not of residuals: scores equal the flat tier's
        )
        chance = np.random.default_rng(_SEED)
        sample = chance.choice(n, size=min(n, lists * _TRAINING_POINTS_PER_LIST), replace=False)
        learnt_from = vectors[np.sort(sample)].astype(np.float32)
        clustering = faiss.Clustering(dim, lists, index.cp)
        clustering.train(learnt_from, searched_on(faiss.IndexFlatIP(dim)))
        index.quantizer.add(faiss.vector_to_array(clustering.centroids).reshape(lists, dim))
        index.train(learnt_from)  # the lists are there: nothing but the codes is left to train
        index.set_direct_map_type(index.direct_map.Hashtable)
        centroids = searched_on(index.quantizer)
        for start in range(0, n, _CHUNK):
            part = slice(start, start + _CHUNK)
            added, ids = vectors[part].astype(np.float32), rows[part].astype(np.int64)
            _, nearest = centroids.search(added, 1)  # (n, 1) int64
            index.add_core(len(ids), *(faiss.swig_ptr(array) for array in (added, ids, nearest)))
        return cls(index, rows=rows, nprobe=nprobe, trained_on=n)

    @property
    def rows(self) -> NDArray[np.int32]:
        """See MainTier; ascending."""
        return np.flatnonzero(self._held).astype(np.int32)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def search(
        self, queries: NDArray[np.float32], n: int, *, keep: NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """See MainTier; approximate."""
        kept = len(self) if keep is None else min(len(self), int(np.count_nonzero(keep)))
        m = min(n, kept)
        if m == 0 or len(queries) == 0:
            return _nothing(len(queries))
        params = faiss.SearchParametersIVF()
        # a filter thins every list: more of them are read, so that as many vectors are looked at
        params.nprobe = min(self._index.nlist, math.ceil(self._nprobe * len(self) / kept))
        if keep is not None:
            bits = np.packbits(keep, bitorder="little")
            selector = faiss.IDSelectorBitmap(len(keep), faiss.swig_ptr(bits))
            params.sel = selector
        scores, ids = self._index.search(queries, m, params=params)
        return _padded(np.where(ids >= 0, ids, 0).astype(np.int32), scores)

    def vectors(self, rows: NDArray[np.int32]) -> NDArray[np.float16]:
        """See MainTier."""
        if len(rows) == 0:
            return np.zeros((0, self._index.d), dtype=np.float16)
        full: NDArray[np.float32] = self._index.reconstruct_batch(rows.astype(np.int64))
        return full.astype(np.float16)

    def absorb(
        self, *, dead: NDArray[np.int32], rows: NDArray[np.int32], vectors: NDArray[np.float32]
    ) -> None:
        """Take `dead` (n,) rows out and put (m,) `rows` in, or in again, with their (m, D) vectors."""
        last = int(max(dead.max(initial=0), rows.max(initial=0)))
        if last >= len(self._held):
            grown = np.zeros(max(last + 1, 2 * len(self._held)), dtype=np.bool_)
            grown[: len(self._held)] = self._held
            self._held = grown
        changed = np.union1d(dead, rows)
        gone = changed[self._held[changed]]
        if len(gone):
            # FAISS would add a known id a second time, silently: it is taken out first
            self._index.remove_ids(gone.astype(np.int64))
            self._held[gone] = False
        if len(rows):
            self._index.add_with_ids(np.ascontiguousarray(vectors), rows.astype(np.int64))
            self._held[rows] = True

    def faiss_index(self) -> Any:
        """See MainTier."""
        return self._index


def read_tier(path: str, *, kind: str, rows: NDArray[np.int32], nprobe: int, trained_on: int) -> MainTier:
    """The tier that `faiss.write_index` saved at `path`. SnapshotError where it is not the one described."""
    try:
        index = faiss.read_index(path)
    except RuntimeError as error:
        raise SnapshotError(f"{path} is not a readable FAISS index") from error
    if index.ntotal != len(rows):
        raise SnapshotError(f"{path} holds {index.ntotal} vectors; its manifest lists {len(rows)} rows")
    if kind == IvfTier.kind and isinstance(index, faiss.IndexIVF):
        return IvfTier(index, rows=rows, nprobe=nprobe, trained_on=trained_on)
    if kind == FlatTier.kind and isinstance(index, faiss.IndexScalarQuantizer):
        return FlatTier(index, rows=rows)
    raise SnapshotError(f"{path} holds a {type(index).__name__}; its manifest says {kind!r}")


def _nothing(queries: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    return np.zeros((queries, 0), dtype=np.int32), np.zeros((queries, 0), dtype=np.float32)


def _padded(
    rows: NDArray[np.int32], scores: NDArray[np.float32]
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """FAISS pads scores with the lowest float; here padding is 0."""
    return rows, np.where(rows > 0, scores, np.float32(0)).astype(np.float32, copy=False)
