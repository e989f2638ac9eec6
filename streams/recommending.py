"""The recommender agent's work: a micro-batch of events becomes states, slates and dead letters.

`process` reads from top to bottom as the path of one click. What it returns must be on the broker before the
records are acked; until then everything here may happen again, and doing it twice changes nothing.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from events.clock import Clock
from events.codec import Reject
from events.ids import UserId, stable_hash
from events.pseudonyms import Pseudonyms
from events.topics import Topic
from serving.errors import StaleWriter
from serving.ports import PartitionWrite, StoredBatch, UserAt, UserStore
from serving.state import StateCodec
from streams.continuity import Continuity
from streams.dead_letters import letter
from streams.decoding import Arrivals, decode_records
from streams.folding import Folded, Folding
from streams.log_reader import LogRecord
from streams.logs import get_logger
from streams.metrics import Metrics, timed_ms
from streams.publisher import Record
from streams.slates import SlateMaker, Turn

log = get_logger("recommender")

_TRIES = 5


Publish = Callable[[Sequence[Record]], Awaitable[None]]  # returns when the broker has the records


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """What the agent reads and writes, and how many waiting users it serves at a time."""

    topics: Mapping[str, Topic]  # full topic name -> what it carries
    dead_letters_topic: str
    pending_max: int = 64  # waiting users of a partition that get their slates at a time


class RecommendingAgent:
    """Folds events into users' states and answers them with slates. One call of `process`, `catch_up`, `replay`
    or `settle` at a time (it sees to that itself), because all read and write the same partitions."""

    def __init__(
        self,
        config: AgentConfig,
        *,
        store: UserStore,
        codec: StateCodec,
        slates: SlateMaker,
        continuity: Continuity,
        metrics: Metrics,
        clock: Clock,
        pseudonyms: Pseudonyms | None = None,
    ) -> None:
        self._config = config
        self._store = store
        self._codec = codec
        self._slates = slates
        self._continuity = continuity
        self._metrics = metrics
        self._clock = clock
        self._pseudonyms = pseudonyms
        self._folding = Folding(codec, topics=config.topics, metrics=metrics)
        self._turn = asyncio.Lock()
        self._worker = os.urandom(6).hex()  # tells this worker's batches from another's
        self._batch = 0

    async def process(self, records: Sequence[LogRecord], *, behind: Collection[int] = ()) -> list[Record]:
        """Take one micro-batch (offsets rising within a partition); return what to publish before acking it.

        In the partitions that are `behind` on a backlog, states are updated and slates wait for `catch_up`. In
        those that lack events, and in all while the store is away, slates are made from what is there; the
        states follow by `replay`.
        StaleWriter when other workers keep writing the same partitions: this one has lost them.
        """
        async with self._turn:
            # 1. Decode; what breaks the contract is set aside with its reason.
            arrivals = self._decode(records)
            letters = [self._letter(record, reject) for record, reject in arrivals.rejects]
            for attempt in range(_TRIES):
                try:
                    slates = await self._fold_and_recommend(records, arrivals, behind=behind)
                except StaleWriter:
                    if attempt == _TRIES - 1:
                        raise
                    continue
                self._continuity.took(records)
                return letters + slates
            raise AssertionError("unreachable")

    async def catch_up(self, partition: int, *, publish: Publish) -> int:
        """Make slates for some users of the partition whose slates waited during a backlog, and publish them.

        How many users were found waiting; 0 means that none is left. A user waits until the broker has the
        slate: a crash before that makes the next owner of the partition serve the user again.
        """
        async with self._turn:
            users = await self._store.pending(partition, limit=self._config.pending_max)
            if users:
                await self._serve_waiting(partition, users, publish=publish)
            return len(users)

    async def replay(
        self, partition: int, records: Sequence[LogRecord], *, marks: Mapping[str, int]
    ) -> dict[str, int]:
        """Fold records of a partition that its states lack; the watermarks once they are written.

        `marks` are the watermarks that the one before this left. StaleWriter, with nothing written, when the
        store has others: it has lost this replay too, or the partition has another owner.
        """
        async with self._turn:
            arrivals = self._decode(records)
            batch = self._folding.batch(records, arrivals)
            stored = await self._store.read(batch.users, partitions=[partition])
            self._same(partition, stored.applied[partition], marks)
            folded = self._folding.fold(batch, stored=stored)
            await self._store.write(self._folding.writes(folded, stored=stored, batch_id=self._batch_id))
            self._metrics.replayed.inc(folded.counts(new=True).total())
            return dict(folded.watermarks[partition])

    async def settle(self, partition: int, *, marks: Mapping[str, int], reached: Mapping[str, int]) -> bool:
        """Take the partition as whole again, unless more of it was taken than the replay has `reached`.

        Who was answered without a state waits for a slate from it. StaleWriter as in `replay`.
        """
        async with self._turn:
            taken = self._continuity.taken(partition)
            if any(reached.get(topic, 0) < offset for topic, offset in taken.items()):
                return False
            # The end of a topic may hold no record any more, so a watermark may have to move without one.
            applied = {topic: at - 1 for topic, at in taken.items() if at - 1 > marks.get(topic, -1)}
            write = PartitionWrite(
                partition,
                batch_id=self._batch_id(partition),
                expected=marks,
                applied=applied,
                waiting=self._continuity.owed(partition),
            )
            await self._store.write([write])
            self._continuity.restored(partition)
            return True

    async def look(self, partitions: Collection[int]) -> None:
        """Find out which of these partitions lack events, and that the store is back."""
        async with self._turn:
            applied = await self._store.applied(partitions)
            self._continuity.back()
            self._continuity.check(applied)

    async def _fold_and_recommend(
        self, records: Sequence[LogRecord], arrivals: Arrivals, *, behind: Collection[int]
    ) -> list[Record]:
        batch = self._folding.batch(records, arrivals)
        partitions = {record.partition for record in records}

        # 2. One round trip: the users' states, and how far their partitions have been applied.
        stored, stateless = await self._read(batch.users, partitions)
        lacking = partitions if stateless else self._continuity.check(stored.applied)

        # 3. Drop what has been applied before, fold in the rest.
        folded = self._folding.fold(batch, stored=stored)

        # 4. Sources, ranker, diversity layer: a slate for each user who did something. Being shown a list is no
        #    reason for another one: it would be shown again, and so on.
        waits = frozenset[int]() if stateless else behind
        due = batch.acted()
        now = [row for row in due if batch.users[row][0] not in waits]
        slates = self._slates.make(
            [
                Turn(
                    user_id=UserId(batch.users[row][1]),
                    partition=batch.users[row][0],
                    state=folded.states[row],
                    arrived_ms=batch.last_record(row).timestamp_ms,
                    watermarks=folded.watermarks[batch.users[row][0]],
                    lacks=_lacks(stateless, batch.users[row][0] in lacking),
                )
                for row in now
            ]
        )

        # 5. One round trip, atomic: states, slates, waiting users, and the offsets that they include. Who got a
        #    slate from a state that lacks something waits for another one.
        answered = set() if stateless else {row for row in now if batch.users[row][0] not in lacking}
        waiting = [row for row in due if row not in answered]
        writes = self._folding.writes(
            folded,
            stored=stored,
            batch_id=self._batch_id,
            lacking=lacking,
            slates=[(row, slate.value or b"") for row, slate in zip(now, slates, strict=True)],
            waiting=waiting,
        )
        if not await self._write(writes):
            for (partition, user), last_ms in folded.last_ms(due):
                self._continuity.owe(partition, {user: last_ms})
        self._count(folded)
        return slates

    async def _read(self, users: Sequence[UserAt], partitions: Collection[int]) -> tuple[StoredBatch, bool]:
        """What the store has, or, while it is away, nothing and True."""
        if not self._continuity.away:
            with self._continuity.tolerating_absence(), self._stage("read"):
                return await self._store.read(users, partitions=partitions), False
        return StoredBatch([None] * len(users), {at: {} for at in partitions}, {}), True

    async def _write(self, writes: Sequence[PartitionWrite]) -> bool:
        """Whether it is known to be written; if it is not, and the store lacks it, it is replayed later."""
        if not self._continuity.away:
            with self._continuity.tolerating_absence(), self._stage("write"):
                await self._store.write(writes)
                return True
        return False

    async def _serve_waiting(self, partition: int, users: Sequence[str], *, publish: Publish) -> None:
        stored = await self._store.read([(partition, user) for user in users])
        known = [
            (UserId(user), blob) for user, blob in zip(users, stored.states, strict=True) if blob is not None
        ]
        hashes = np.array([stable_hash(user) for user, _ in known], np.int64)
        states = self._codec.unpack([blob for _, blob in known], users=hashes)
        now_ms = self._clock.now_ms()
        turns = [
            Turn(user, partition, states[row], now_ms, stored.applied[partition])
            for row, (user, _) in enumerate(known)
        ]
        slates = self._slates.make(turns)
        await publish(slates)
        write = PartitionWrite(
            partition=partition,
            batch_id=self._batch_id(partition),
            expected=stored.applied[partition],
            slates={turn.user_id: slate.value or b"" for turn, slate in zip(turns, slates, strict=True)},
            served=list(users),
        )
        try:
            await self._store.write([write])
        except StaleWriter:
            log.info("partition %d has a new owner, which finds its %d users waiting", partition, len(users))

    def _same(self, partition: int, found: Mapping[str, int], marks: Mapping[str, int]) -> None:
        if dict(found) != dict(marks):
            raise StaleWriter(found={partition: found}, expected={partition: marks}, written=[])

    def _stage(self, stage: str) -> Any:
        return timed_ms(self._metrics.stage_ms.labels(stage=stage))

    def _count(self, folded: Folded) -> None:
        self._metrics.batch_events.observe(len(folded.batch.columns))
        for counter, new in ((self._metrics.events, True), (self._metrics.duplicates, False)):
            for topic, count in folded.counts(new=new).items():
                counter.labels(topic=topic).inc(count)

    def _decode(self, records: Sequence[LogRecord]) -> Arrivals:
        return decode_records(
            records, topics=self._config.topics, now_ms=self._clock.now_ms(), pseudonyms=self._pseudonyms
        )

    def _batch_id(self, partition: int) -> str:
        self._batch += 1
        return f"{self._worker}-{self._batch}-{partition}"

    def _letter(self, record: LogRecord, reject: Reject) -> Record:
        self._metrics.dead_letters.labels(reason=reject.error.reason).inc()
        return letter(record, reject, topic=self._config.dead_letters_topic)


def _lacks(stateless: bool, lacking: bool) -> str:
    """What a slate goes without: everything that the store has, or what is being replayed."""
    return "no-state" if stateless else "rebuilding" if lacking else ""
