"""A worker of a build that writes states without a look at the watermark that covers them."""

from collections.abc import Collection, Sequence

from cli.main import main
from serving.ports import PartitionWrite, StoredBatch, UserAt
from serving.redis_store import RedisStore
from streams import workers


class Unguarded(RedisStore):
    """Says that nothing was applied before, and sets states whatever was."""

    async def read(self, users: Sequence[UserAt], *, partitions: Collection[int] = ()) -> StoredBatch:
        stored = await super().read(users, partitions=partitions)
        return StoredBatch(stored.states, {partition: {} for partition in stored.applied}, stored.pending)

    async def write(self, writes: Sequence[PartitionWrite]) -> None:
        held = (await super().read([], partitions=[write.partition for write in writes])).applied
        for write in writes:
            for user, state in write.states.items():
                await self._client.set(self._keys.state(write.partition, user), state)
        await super().write([_without_states(write, held=held[write.partition]) for write in writes])


def _without_states(write: PartitionWrite, *, held: dict[str, int]) -> PartitionWrite:
    return PartitionWrite(
        partition=write.partition,
        batch_id=write.batch_id,
        expected=held,
        applied={topic: at for topic, at in write.applied.items() if at > held.get(topic, -1)},
        slates=write.slates,
        waiting=write.waiting,
        served=write.served,
    )


if __name__ == "__main__":
    workers.RedisStore = Unguarded
    main()
