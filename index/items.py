"""Which items are near a vector: two tiers, one answer.

A small exact tier takes every upsert at once; a large one over FAISS is rebuilt in the background and swapped
in whole. An entry of the large tier that was replaced or removed since stays in it as a tombstone.
"""

import threading
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from index import item_snapshot
from index.filters import check_exclude, merge, padded
from index.fresh_tier import FreshTier
from index.gpu_tier import Device, built_on_gpu, to_gpu, usable_device
from index.item_errors import RowError, VectorError
from index.main_tier import FlatTier, IvfTier, MainTier
from index.vectors import checked_queries, checked_rows, checked_vectors

_ABSORBED_AT_ONCE = 256  # rows moved under one hold of the lock: some 10 ms of a searcher's wait


class ItemIndex:
    """Maximum inner product search over item vectors, keyed by the caller's int32 rows (row 0 is padding).

    Vectors are kept as float16, so scores are those of the rounded vectors, in either tier alike. Search sees
    every upsert and removal that returned before it began.

    Exact while the large tier is flat; approximate from `main_limit_flat` vectors on, where IVF takes over.
    The small tier grows without a bound of its own until `rebuild` is called: call it when `needs_rebuild`.

    Threads: any number may search and one may call `rebuild` or `snapshot` while another upserts and removes.
    No thread is started here.

    >>> index = ItemIndex(2)
    >>> index.upsert(np.array([3, 5], np.int32), np.array([[1, 0], [0, 1]], np.float32))
    >>> index.search(np.array([[0.5, 1.0]], np.float32), 3)
    (array([[5, 3, 0]], dtype=int32), array([[1. , 0.5, 0. ]], dtype=float32))
    """

    def __init__(
        self,
        dim: int,
        *,
        device: Device = "cpu",
        main_limit_flat: int = 100_000,
        fresh_limit: int = 2_048,
        nprobe: int = 64,
        max_row: int = 1 << 24,
    ) -> None:
        """`dim` is D; `nprobe` is how many inverted lists a query reads; rows are 1..max_row.

        `device` "auto" takes a GPU where FAISS has one; "gpu" without one logs a warning and takes the CPU.
        """
        for name, value in (
            ("dim", dim), ("main_limit_flat", main_limit_flat), ("fresh_limit", fresh_limit),
            ("nprobe", nprobe), ("max_row", max_row),
        ):  # fmt: skip
            if value < 1:
                raise ValueError(f"ItemIndex {name} is {value}; it must be at least 1")
        if device not in ("cpu", "gpu", "auto"):
            raise ValueError(f"ItemIndex device is {device!r}; it must be 'cpu', 'gpu' or 'auto'")
        self._limits = item_snapshot.Limits(
            dim=dim,
            main_limit_flat=main_limit_flat,
            fresh_limit=fresh_limit,
            nprobe=nprobe,
            max_row=max_row,
        )
        self._device = usable_device(device)
        self._lock = threading.Lock()  # held for every read and write of what follows
        self._rebuilding = threading.Lock()  # held by the one rebuild or snapshot under way
        self._main: MainTier | None = None
        self._fresh = FreshTier(dim)
        self._alive = np.zeros(1_024, dtype=np.bool_)  # (R,) the row's vector in the main tier is current
        self._changed_at = np.zeros(1_024, dtype=np.int64)  # (R,) version of the row's last change
        self._version = 0

    def __len__(self) -> int:
        """Items that a search can find."""
        with self._lock:
            return int(np.count_nonzero(self._alive)) + len(self._fresh)

    @property
    def dim(self) -> int:
        """D."""
        return self._limits.dim

    @property
    def version(self) -> int:
        """Grows with every upsert, removal and rebuild, and goes on from a snapshot's."""
        return self._version

    @property
    def device_used(self) -> str:
        """ "cpu" or "gpu": where the large tier is searched."""
        return self._device

    @property
    def main_kind(self) -> str:
        """ "none", "flat" or "ivf": what the large tier is now."""
        main = self._main
        return "none" if main is None else main.kind

    @property
    def needs_rebuild(self) -> bool:
        """The small tier is past `fresh_limit`, or a quarter of the large one is tombstones."""
        with self._lock:
            held = 0 if self._main is None else len(self._main)
            dead = held - int(np.count_nonzero(self._alive))
            return len(self._fresh) > self._limits.fresh_limit or dead > max(
                self._limits.fresh_limit, held // 4
            )

    def upsert(self, rows: NDArray[np.int32], vectors: NDArray[np.float32]) -> None:
        """Give (n,) rows their (n, D) vectors, all or nothing; of a row that is named twice the last wins.

        RowError for a row outside 1..max_row, VectorError for a wrong dimension, NaN, infinity or zeros.
        """
        rows = checked_rows(rows, max_row=self._limits.max_row)
        rounded = checked_vectors(vectors, dim=self.dim)
        if len(rows) != len(rounded):
            raise RowError(f"{len(rows)} rows were given with {len(rounded)} vectors")
        with self._lock:
            self._mark(rows)
            self._fresh.upsert(rows, rounded)

    def remove(self, rows: NDArray[np.int32]) -> None:
        """Forget (n,) rows at once; rows that are not held are ignored. RowError as in `upsert`."""
        rows = checked_rows(rows, max_row=self._limits.max_row)
        with self._lock:
            self._mark(rows)
            self._fresh.remove(rows)

    def search(
        self,
        vectors: NDArray[np.float32],
        n: int,
        *,
        allowed: NDArray[np.bool_] | None = None,
        exclude: NDArray[np.int32] | None = None,
    ) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """The n items of largest inner product with each of (Q, D) vectors, best first, ties by lower row.

        Returns (Q, n) int32 rows and (Q, n) float32 scores; 0 pads both where fewer are found, and everywhere
        for a query of zeros, which is near nothing. `allowed` is (N,) bool by item row: what it does not
        cover is not allowed. `exclude` is (Q, X) int32 rows that one query may not get, 0 pads; the cost
        grows with X. VectorError for a wrong dimension or NaN, RowError for a wrong mask.
        """
        queries = checked_queries(vectors, dim=self.dim)
        check_exclude(exclude, queries=len(queries))
        if n < 0:
            raise VectorError(f"n is {n}; it must be at least 0")
        wanted = n + (0 if exclude is None else exclude.shape[1])
        with self._lock:
            keep = None if allowed is None else padded(allowed, rows=len(self._alive))
            parts = [self._fresh.search(queries, wanted, keep=keep)]
            if self._main is not None:
                parts.append(self._main.search(queries, wanted, keep=self._keep_of_main(self._main, keep)))
        found, scores = merge(parts, n, exclude=exclude)
        blank = ~queries.any(axis=1)
        found[blank], scores[blank] = 0, 0
        return found, scores

    def rebuild(self) -> bool:
        """Move the small tier into the large one and drop the tombstones; False where a rebuild is under way.

        Meant for a thread of the caller's. What changes meanwhile is kept. The large tier becomes flat or IVF
        by its size; an IVF that has not doubled or halved since its training is changed in place, in short
        steps, and everything else is built aside and swapped in.
        """
        if not self._rebuilding.acquire(blocking=False):
            return False
        try:
            main, size = self._main, len(self)
            if (
                isinstance(main, IvfTier)
                and size > self._limits.main_limit_flat
                and main.trained_on // 2 <= size <= 2 * main.trained_on
            ):
                self._absorb(main)
            else:
                self._replace()
        finally:
            self._rebuilding.release()
        return True

    def snapshot(self, path: Path) -> None:
        """Save everything into the folder `path`, replacing its snapshot atomically. Waits for a rebuild."""
        with self._rebuilding:
            with self._lock:
                saved = item_snapshot.Saved(
                    limits=self._limits,
                    version=self._version,
                    main=self._main,
                    alive_rows=np.flatnonzero(self._alive).astype(np.int32),
                    fresh_rows=self._fresh.rows.copy(),
                    fresh_vectors=self._fresh.vectors.astype(np.float16),
                )
            item_snapshot.write(saved, path)  # only a rebuild changes `main`

    @classmethod
    def load(cls, path: Path, *, device: Device = "cpu") -> "ItemIndex":
        """The index that `snapshot` saved. index.errors.SnapshotError for none, or a damaged one."""
        saved = item_snapshot.read(path)
        index = cls(device=device, **asdict(saved.limits))
        index._mark(saved.alive_rows)
        index._mark(saved.fresh_rows)
        index._alive[saved.alive_rows] = True
        index._fresh.upsert(saved.fresh_rows, saved.fresh_vectors)
        if saved.main is not None:
            index._main = to_gpu(saved.main) if index.device_used == "gpu" else saved.main
        index._version = saved.version
        return index

    def _mark(self, rows: NDArray[np.int32]) -> None:
        """Note a change of `rows`: what the main tier holds of them is out of date."""
        self._version += 1
        needed = int(rows.max(initial=0)) + 1
        if needed > len(self._alive):
            capacity = min(max(needed, 2 * len(self._alive)), self._limits.max_row + 1)
            self._alive = np.concatenate([self._alive, np.zeros(capacity - len(self._alive), np.bool_)])
            added = np.zeros(capacity - len(self._changed_at), np.int64)
            self._changed_at = np.concatenate([self._changed_at, added])
        self._alive[rows] = False
        self._changed_at[rows] = self._version

    def _keep_of_main(self, main: MainTier, keep: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
        if keep is not None:
            return self._alive & keep
        return None if int(np.count_nonzero(self._alive)) == len(main) else self._alive

    def _replace(self) -> None:
        """Build a new main tier from what is current and swap it in."""
        with self._lock:
            as_of = self._version
            old = self._main
            old_rows = np.flatnonzero(self._alive).astype(np.int32)
            fresh_rows, fresh_vectors = self._fresh.rows.copy(), self._fresh.vectors.astype(np.float16)
        # no entry of the main tier changes in here: only this thread may, and it holds `_rebuilding`
        rows, vectors = fresh_rows, fresh_vectors
        if old is not None and len(old_rows):
            rows = np.concatenate([old_rows, fresh_rows])
            vectors = np.concatenate([old.vectors(old_rows), fresh_vectors])
        new = self._built(rows, vectors)
        with self._lock:
            self._main = new
            self._alive[:] = False
            self._alive[rows[self._changed_at[rows] <= as_of]] = True
            self._fresh.keep(self._changed_at[self._fresh.rows] > as_of)
            self._version += 1

    def _built(self, rows: NDArray[np.int32], vectors: NDArray[np.float16]) -> MainTier | None:
        if len(rows) == 0:
            return None
        tier: MainTier
        if len(rows) <= self._limits.main_limit_flat:
            tier = FlatTier.build(rows, vectors)
        else:
            build = built_on_gpu if self._device == "gpu" else IvfTier.build
            tier = build(rows, vectors, nprobe=self._limits.nprobe)
        return to_gpu(tier) if self._device == "gpu" else tier

    def _absorb(self, main: IvfTier) -> None:
        """Take the tombstones out of `main` and put the small tier's vectors in, some at a time."""
        with self._lock:
            steps = (len(main) + len(self._fresh)) // _ABSORBED_AT_ONCE + 1  # an end, whatever is upserted
        for _ in range(steps):
            with self._lock:
                held = main.rows
                dead = held[~self._alive[held]][:_ABSORBED_AT_ONCE]
                rows = self._fresh.rows[:_ABSORBED_AT_ONCE].copy()
                if len(dead) == 0 and len(rows) == 0:
                    break
                main.absorb(dead=dead, rows=rows, vectors=self._fresh.vectors[: len(rows)])
                self._fresh.remove(rows)
                self._alive[rows] = True
                self._version += 1
