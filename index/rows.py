"""Dense int32 rows for 64-bit stable hashes: which row of the preallocated arrays an id owns."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from index.errors import CapacityError, SnapshotError
from index.snapshot import copied, fill, total_bytes

EVICTED_SHARE = 0.01  # of the rows, freed at once when none is left


class Rows:
    """Gives each id one of `capacity - 1` rows; takes the least recently used ones back when none is left.

    Row 0 is padding: hash 0 and unknown hashes have it. `hashes` (capacity,) int64 says whose each row is, 0
    where free. The same calls give the same rows on every machine. How a log is cut into batches changes
    nothing until rows run out; from then on it can, because rows are freed before a batch, never one that the
    batch names.

    >>> rows = Rows(1024)
    >>> rows.assign(np.array([77, 5, 77]))[0].tolist()
    [1, 2, 1]
    >>> rows.lookup(np.array([[5, 0, 6]])).tolist()
    [[2, 0, 0]]
    """

    def __init__(self, capacity: int) -> None:
        if not 2 <= capacity <= 1 << 30:
            raise ValueError(f"capacity is {capacity}; it must be in 2..2**30")
        self.capacity = capacity
        self.hashes = np.zeros(capacity, np.int64)
        self.evicted = 0  # rows taken back by this process, so far
        self._touched = np.zeros(capacity, np.int64)  # the tick of the last use
        self._free = np.arange(capacity - 1, 0, -1, dtype=np.int32)  # a stack; the top is taken next
        self._counters = np.array([0, capacity - 1], np.int64)  # ticks so far, free rows
        slots = 1 << (2 * capacity - 1).bit_length()
        self._keys = np.zeros(slots, np.int64)
        self._values = np.zeros(slots, np.int32)

    def __len__(self) -> int:
        """How many ids have a row."""
        return self.capacity - 1 - int(self._counters[1])

    @property
    def nbytes(self) -> int:
        return total_bytes(self._state()) + self._keys.nbytes + self._values.nbytes

    def lookup(self, hashes: NDArray[np.int64]) -> NDArray[np.int32]:
        """The rows of `hashes` (any shape), same shape; 0 for hash 0 and for ids without a row."""
        flat = np.ascontiguousarray(hashes, np.int64).reshape(-1)
        rows = np.empty(len(flat), np.int32)
        _lookup(flat, self._keys, self._values, rows)
        return rows.reshape(hashes.shape)

    def assign(self, hashes: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """The rows of `hashes` (E,), giving new ids a row; and the rows (k,) freed for that, ascending.

        The caller evicts the freed rows everywhere before it uses the new ones: most of them own a new id
        already. Raises CapacityError, and changes nothing, when the batch names more ids than there are rows.
        """
        flat = np.ascontiguousarray(hashes, np.int64)
        rows = np.empty(len(flat), np.int32)
        _lookup(flat, self._keys, self._values, rows)
        evicted = np.zeros(0, np.int32)
        unknown = np.unique(flat[(rows == 0) & (flat != 0)])
        short = len(unknown) - int(self._counters[1])
        if short > 0:
            evicted = self._least_recent(rows, at_least=short)
            _free_rows(evicted, self.hashes, self._keys, self._values, self._free, self._counters)
            self._touched[evicted] = 0
            self.evicted += len(evicted)
        _assign(flat, rows, self.hashes, self._touched, self._keys, self._values, self._free, self._counters)
        return rows, evicted

    def touch(self, rows: NDArray[np.int32]) -> None:
        """Count these rows ((k,) int32; 0 and free ones are passed over) as just used."""
        used = rows[(rows > 0) & (self.hashes[rows] != 0)]
        first = int(self._counters[0]) + 1
        self._touched[used] = np.arange(first, first + len(used))
        self._counters[0] += len(used)

    def snapshot(self) -> dict[str, NDArray[np.generic]]:
        """The whole state, as arrays that this object does not share."""
        return copied(self._state())

    def restore(self, arrays: dict[str, NDArray[np.generic]]) -> None:
        """Take `snapshot`'s arrays; SnapshotError, and nothing changed, when they do not fit."""
        taken = arrays.get("hashes")
        if taken is not None and taken.shape == self.hashes.shape:
            live = taken[taken != 0]
            if len(np.unique(live)) != len(live) or taken[0] != 0:
                raise SnapshotError("rows.hashes: an id has two rows, or row 0 is not free")
        fill(self._state(), arrays, owner="rows")
        self._keys[:] = 0
        self._values[:] = 0
        _rebuild(self.hashes, self._keys, self._values)

    def _least_recent(self, named: NDArray[np.int32], *, at_least: int) -> NDArray[np.int32]:
        """The rows to free, ascending: ~1 % of all, `at_least` so many, none that is in `named` or free."""
        evictable = self.hashes != 0
        evictable[named] = False
        choice = np.flatnonzero(evictable)
        if len(choice) < at_least:
            raise CapacityError(
                f"a batch names {at_least - len(choice)} ids more than the {self.capacity - 1} rows hold"
            )
        count = min(len(choice), max(at_least, int(self.capacity * EVICTED_SHARE)))
        oldest = np.argsort(self._touched[choice], kind="stable")[:count]
        return np.sort(choice[oldest]).astype(np.int32)

    def _state(self) -> dict[str, NDArray[np.generic]]:
        return {
            "hashes": self.hashes,
            "touched": self._touched,
            "free": self._free,
            "counters": self._counters,
        }


@njit(nogil=True, cache=True)
def _slot(key: int, mask: int) -> int:
    """Where to look first: Fibonacci hashing's high bits, so that clustered keys spread too."""
    mixed = np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)
    return int(np.int64((mixed ^ (mixed >> np.uint64(32))) & np.uint64(mask)))


@njit(nogil=True, cache=True)
def _find(key: int, keys: NDArray[np.int64]) -> int:
    """The slot of `key`, or the empty slot where it belongs (linear probing; never full)."""
    mask = len(keys) - 1
    slot = _slot(key, mask)
    while keys[slot] != 0 and keys[slot] != key:
        slot = (slot + 1) & mask
    return slot


@njit(nogil=True, cache=True)
def _lookup(
    hashes: NDArray[np.int64], keys: NDArray[np.int64], values: NDArray[np.int32], rows: NDArray[np.int32]
) -> None:
    for e in range(len(hashes)):
        rows[e] = 0 if hashes[e] == 0 else values[_find(hashes[e], keys)]


@njit(nogil=True, cache=True)
def _assign(
    hashes: NDArray[np.int64],
    rows: NDArray[np.int32],
    owners: NDArray[np.int64],
    touched: NDArray[np.int64],
    keys: NDArray[np.int64],
    values: NDArray[np.int32],
    free: NDArray[np.int32],
    counters: NDArray[np.int64],
) -> None:
    """Fill `rows` (E,), taking free rows for unknown hashes; there are enough of them."""
    for e in range(len(hashes)):
        key = hashes[e]
        if key == 0:
            rows[e] = 0
            continue
        slot = _find(key, keys)
        if keys[slot] == 0:
            counters[1] -= 1
            keys[slot] = key
            values[slot] = free[counters[1]]
            owners[values[slot]] = key
        rows[e] = values[slot]
        counters[0] += 1
        touched[rows[e]] = counters[0]


@njit(nogil=True, cache=True)
def _free_rows(
    rows: NDArray[np.int32],
    owners: NDArray[np.int64],
    keys: NDArray[np.int64],
    values: NDArray[np.int32],
    free: NDArray[np.int32],
    counters: NDArray[np.int64],
) -> None:
    """Take `rows` (ascending) from their ids; the lowest is given out first."""
    mask = len(keys) - 1
    for at in range(len(rows) - 1, -1, -1):
        row = rows[at]
        gap = _find(owners[row], keys)
        owners[row] = 0
        free[counters[1]] = row
        counters[1] += 1
        # Close the gap: move up whatever probed past it (Knuth, TAOCP 6.4, algorithm R).
        slot = (gap + 1) & mask
        while keys[slot] != 0:
            home = _slot(keys[slot], mask)
            if ((slot - home) & mask) >= ((slot - gap) & mask):
                keys[gap], values[gap] = keys[slot], values[slot]
                gap = slot
            slot = (slot + 1) & mask
        keys[gap] = 0
        values[gap] = 0


@njit(nogil=True, cache=True)
def _rebuild(owners: NDArray[np.int64], keys: NDArray[np.int64], values: NDArray[np.int32]) -> None:
    for row in range(len(owners)):
        if owners[row] != 0:
            slot = _find(owners[row], keys)
            keys[slot] = owners[row]
            values[slot] = row
