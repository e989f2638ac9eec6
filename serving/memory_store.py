"""The user store in this process: for tests, benchmarks and learners that need no server."""

from collections import OrderedDict
from collections.abc import Collection, Hashable, Sequence
from typing import TypeVar

from serving.errors import StaleWriter
from serving.keys import KeySpace
from serving.ports import PartitionWrite, StoredBatch, StoreInfo, UserAt, one_write_per_partition

_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")


class MemoryStore:
    """A UserStore that forgets the least recently used user beyond `capacity`.

    Times to live are not kept: capacity bounds it instead. Bound to no event loop.
    """

    def __init__(self, keys: KeySpace, *, capacity: int = 100_000) -> None:
        if capacity < 1:
            raise ValueError(f"MemoryStore.capacity is {capacity}; it must be at least 1")
        self._keys = keys
        self._capacity = capacity
        self._states: OrderedDict[UserAt, bytes] = OrderedDict()
        self._slates: OrderedDict[UserAt, bytes] = OrderedDict()
        self._applied: dict[int, dict[str, int]] = {}
        self._batches: dict[int, str] = {}
        self._waiting: dict[int, OrderedDict[str, int]] = {}

    async def read(self, users: Sequence[UserAt], *, partitions: Collection[int] = ()) -> StoredBatch:
        """As UserStore.read."""
        asked = {partition for partition, _ in users}.union(partitions)
        return StoredBatch(
            states=[self._use(user) for user in users],
            applied=await self.applied(asked),
            pending={partition: len(self._waiting.get(partition, ())) for partition in asked},
        )

    async def write(self, writes: Sequence[PartitionWrite]) -> None:
        """As UserStore.write."""
        one_write_per_partition(writes)
        refused = {write.partition: write.expected for write in writes if self._is_stale(write)}
        for write in writes:
            if write.partition not in refused and self._batches.get(write.partition) != write.batch_id:
                self._apply(write)
        if refused:
            raise StaleWriter(
                found=await self.applied(refused),
                expected=refused,
                written=[write.partition for write in writes if write.partition not in refused],
            )

    async def slate(self, user_id: str) -> bytes | None:
        """As UserStore.slate."""
        return self._slates.get((self._keys.partition(user_id), user_id))

    async def pending(self, partition: int, *, limit: int) -> list[str]:
        """As UserStore.pending."""
        waiting = self._waiting.get(partition, OrderedDict())
        return sorted(waiting, key=lambda user_id: (waiting[user_id], user_id), reverse=True)[:limit]

    async def applied(self, partitions: Collection[int]) -> dict[int, dict[str, int]]:
        """As UserStore.applied."""
        return {partition: dict(self._applied.get(partition, {})) for partition in partitions}

    async def ping(self) -> StoreInfo:
        """As UserStore.ping."""
        return StoreInfo(product="memory", version="", eviction="noeviction", now_ms=None)

    async def close(self) -> None:
        """As UserStore.close; nothing to give back."""

    def _use(self, user: UserAt) -> bytes | None:
        state = self._states.get(user)
        if state is not None:
            self._states.move_to_end(user)
        return state

    def _is_stale(self, write: PartitionWrite) -> bool:
        if self._batches.get(write.partition) == write.batch_id:
            return False
        return self._applied.get(write.partition, {}) != dict(write.expected)

    def _apply(self, write: PartitionWrite) -> None:
        for user_id, state in write.states.items():
            _put(self._states, (write.partition, user_id), state, self._capacity)
        for user_id, slate in write.slates.items():
            _put(self._slates, (write.partition, user_id), slate, self._capacity)
        waiting = self._waiting.setdefault(write.partition, OrderedDict())
        for user_id, last_ms in write.waiting.items():
            _put(waiting, user_id, last_ms, self._capacity)
        for user_id in write.served:
            waiting.pop(user_id, None)
        self._applied.setdefault(write.partition, {}).update(write.applied)
        self._batches[write.partition] = write.batch_id


def _put(values: OrderedDict[_Key, _Value], key: _Key, value: _Value, capacity: int) -> None:
    values[key] = value
    values.move_to_end(key)
    if len(values) > capacity:
        values.popitem(last=False)
