"""The user store that serving needs: what is read and written for a batch, and what the store guarantees."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

UserAt = tuple[int, str]
"""A user's Kafka partition and user id."""


@dataclass(frozen=True, slots=True)
class StoredBatch:
    """What the store knew when it was read."""

    states: list[bytes | None]  # in the order of the users asked for; None where there is none
    applied: dict[
        int, dict[str, int]
    ]  # partition -> topic -> highest offset applied; every partition asked for
    pending: dict[int, int]  # partition -> users whose slate waits


@dataclass(frozen=True, slots=True)
class PartitionWrite:
    """What one batch changes in one partition.

    `batch_id` is new for every batch and the same only when that batch is tried again. `expected` are the
    watermarks as read (`StoredBatch.applied[partition]`), `applied` those that this batch moves. Without
    `applied` only slates and waiting users may change.
    """

    partition: int
    batch_id: str
    expected: Mapping[str, int]  # topic -> offset; a topic that is missing was never applied
    applied: Mapping[str, int] = field(default_factory=dict)  # topic -> highest offset that `states` include
    states: Mapping[str, bytes] = field(default_factory=dict)  # user id -> packed state
    slates: Mapping[str, bytes] = field(default_factory=dict)  # user id -> slate
    waiting: Mapping[str, int] = field(default_factory=dict)  # user id -> last event time (ms): slate to come
    served: Collection[str] = ()  # user ids that wait no longer

    def __post_init__(self) -> None:
        if self.partition < 0 or not self.batch_id:
            raise ValueError(
                f"partition {self.partition} and batch id {self.batch_id!r}; expected >= 0 and an id"
            )
        for topic, offset in self.applied.items():
            if offset <= self.expected.get(topic, -1):
                raise ValueError(
                    f"{topic} of partition {self.partition} would move from {self.expected.get(topic, -1)} "
                    f"to {offset}; a watermark only moves forward"
                )
        if self.states and not self.applied:
            raise ValueError(
                f"{len(self.states)} states of partition {self.partition} without a watermark that moves; "
                "states only change together with the offsets they include"
            )


@dataclass(frozen=True, slots=True)
class StoreInfo:
    """Which server answers. str() is its name and version."""

    product: str  # "valkey", "redis", "memory"
    version: str
    eviction: str  # maxmemory-policy; anything but "noeviction" or "volatile-*" may drop watermarks
    now_ms: int | None  # its clock, None where it has none of its own

    def __str__(self) -> str:
        return f"{self.product} {self.version}".strip()


def one_write_per_partition(writes: Sequence[PartitionWrite]) -> None:
    """ValueError when a partition occurs twice: which of its writes came first would be undefined."""
    partitions = [write.partition for write in writes]
    if len(set(partitions)) < len(partitions):
        raise ValueError(f"writes of partitions {sorted(partitions)}; expected each partition once")


class UserStore(Protocol):
    """States, slates, watermarks and waiting users, by Kafka partition. One writer per partition at a time.

    Atomic: of a PartitionWrite all is applied or nothing, and no reader sees half of it; partitions are
    independent of one another. Ordered: a write is refused (StaleWriter) unless the partition's watermarks
    are exactly `expected`, so of two workers that read the same watermarks and move them, one wins.
    Idempotent: a write with the `batch_id` of the partition's last one changes nothing and succeeds, so a
    write may be repeated when its answer was lost, as long as nothing else was written in between.
    Forgetting: a state or slate may be gone after its time to live or, in memory, when there are too many;
    watermarks never are. Errors: StoreUnavailable after bounded retries, StoreRefused, StaleWriter.

    Never call `write` for a partition while another call for it is under way, nor anything after `close`.
    """

    async def read(self, users: Sequence[UserAt], *, partitions: Collection[int] = ()) -> StoredBatch:
        """The users' states, and the watermarks of their partitions and of `partitions`; one round trip.

        Watermarks are never newer than the states beside them: if another worker writes meanwhile, a write
        that follows from this read is refused.
        """

    async def write(self, writes: Sequence[PartitionWrite]) -> None:
        """Apply each partition's write; one round trip. At most one write per partition.

        StaleWriter names the partitions that were refused, and those of the others that were written.
        """

    async def slate(self, user_id: str) -> bytes | None:
        """The user's last slate, by the partition that Kafka's default partitioner gives the user."""

    async def pending(self, partition: int, *, limit: int) -> list[str]:
        """Up to `limit` users whose slate waits, those with the latest event first."""

    async def applied(self, partitions: Collection[int]) -> dict[int, dict[str, int]]:
        """Partition -> topic -> highest offset applied."""

    async def ping(self) -> StoreInfo:
        """Who answers; a write or read is likely to work if this does."""

    async def close(self) -> None:
        """Give the connections back."""
