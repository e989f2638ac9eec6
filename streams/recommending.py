"""The recommender agent's work: a micro-batch of events becomes states, slates and dead letters.

`process` reads from top to bottom as the path of one click. What it returns must be on the broker before the
records are acked; until then everything here may happen again, and doing it twice changes nothing.
"""

import asyncio
import os
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from events.clock import Clock
from events.codec import Reject
from events.columns import Kind
from events.flatten import EventColumns, HashCache, to_columns
from events.ids import UserId, stable_hash
from events.pseudonyms import Pseudonyms
from events.topics import USER_TOPICS, Topic
from serving.errors import StaleWriter, StateFormatError
from serving.ports import PartitionWrite, StoredBatch, UserAt, UserStore
from serving.state import StateCodec
from serving.state_layout import LAST_MS
from streams.dead_letters import letter
from streams.decoding import Arrivals, decode_records
from streams.log_reader import LogRecord
from streams.logs import get_logger
from streams.metrics import Metrics, timed_ms
from streams.publisher import Record
from streams.slates import SlateMaker, Turn

log = get_logger("recommender")

_Value = TypeVar("_Value")
_TRIES = 5
_TOPIC_NUMBER = {topic: number for number, topic in enumerate(USER_TOPICS)}


Publish = Callable[[Sequence[Record]], Awaitable[None]]  # returns when the broker has the records


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """What the agent reads and writes, and how many waiting users it serves at a time."""

    topics: Mapping[str, Topic]  # full topic name -> what it carries
    dead_letters_topic: str
    pending_max: int = 64  # waiting users of a partition that get their slates at a time


class RecommendingAgent:
    """Folds events into users' states and answers them with slates. One call of `process` or `catch_up` at a
    time (it sees to that itself), because both read and write the same partitions."""

    def __init__(
        self,
        config: AgentConfig,
        *,
        store: UserStore,
        codec: StateCodec,
        slates: SlateMaker,
        metrics: Metrics,
        clock: Clock,
        pseudonyms: Pseudonyms | None = None,
    ) -> None:
        self._config = config
        self._store = store
        self._codec = codec
        self._slates = slates
        self._metrics = metrics
        self._clock = clock
        self._pseudonyms = pseudonyms
        self._hashes = HashCache()
        self._turn = asyncio.Lock()
        self._worker = os.urandom(6).hex()  # tells this worker's batches from another's
        self._batch = 0

    async def process(self, records: Sequence[LogRecord], *, behind: bool) -> list[Record]:
        """Take one micro-batch (offsets rising within a partition); return what to publish before acking it.

        `behind` on a backlog, states are updated and slates wait for `catch_up`.
        StaleWriter when other workers keep writing the same partitions: this one has lost them.
        """
        async with self._turn:
            # 1. Decode; what breaks the contract is set aside with its reason.
            arrivals = decode_records(
                records,
                topics=self._config.topics,
                now_ms=self._clock.now_ms(),
                pseudonyms=self._pseudonyms,
            )
            letters = [self._letter(record, reject) for record, reject in arrivals.rejects]
            for attempt in range(_TRIES):
                try:
                    slates = await self._fold_and_recommend(records, arrivals, behind=behind)
                except StaleWriter:
                    if attempt == _TRIES - 1:
                        raise
                    continue
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

    async def _fold_and_recommend(
        self, records: Sequence[LogRecord], arrivals: Arrivals, *, behind: bool
    ) -> list[Record]:
        columns = to_columns(arrivals.events, hashes=self._hashes)
        places = self._places(records)  # (R, 3)
        latest = np.zeros(len(columns.users), np.int64)  # (B,) record of each user's last event
        latest[columns.event_user] = arrivals.origins
        users = list(zip(places[latest, 1].tolist(), columns.users, strict=True))
        partitions = {record.partition for record in records}

        # 2. One round trip: the users' states, and how far their partitions have been applied.
        with self._stage("read"):
            stored = await self._store.read(users, partitions=partitions)
            states = self._unpack(stored, columns)

        # 3. Drop what has been applied before, fold in the rest.
        new = np.array(
            [record.offset > stored.applied[record.partition].get(record.topic, -1) for record in records],
            np.bool_,
        )  # (R,)
        fresh = new[arrivals.origins]
        applied = self._codec.fold(
            states, columns=columns, positions=places[arrivals.origins], skip=~fresh
        )  # (n,)
        changed = np.unique(columns.event_user[applied]).astype(np.int64)
        watermarks = _advanced(stored.applied, records)

        # 4. Sources, ranker, diversity layer: a slate for each user who did something. Being shown a list is no
        #    reason for another one: it would be shown again, and so on.
        due = np.unique(columns.event_user[columns.event_kinds != Kind.IMPRESSION]).tolist()
        slates = (
            []
            if behind
            else self._slates.make(
                [
                    Turn(
                        user_id=columns.users[row],
                        partition=users[row][0],
                        state=states[row],
                        arrived_ms=records[latest[row]].timestamp_ms,
                        watermarks=watermarks[users[row][0]],
                    )
                    for row in due
                ]
            )
        )

        # 5. One round trip, atomic: states, slates, waiting users, and the offsets that they include.
        writes = self._writes(
            stored,
            watermarks,
            states=zip(
                [users[row] for row in changed.tolist()], self._codec.pack(states, rows=changed), strict=True
            ),
            slates=[(users[row], slate.value or b"") for row, slate in zip(due, slates, strict=False)],
            waiting=zip([users[row] for row in due], states[due, LAST_MS].tolist(), strict=True)
            if behind
            else (),
        )
        with self._stage("write"):
            await self._store.write(writes)
        self._count(records, events=np.bincount(arrivals.origins, minlength=len(records)), new=new)
        return slates

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

    def _unpack(self, stored: StoredBatch, columns: EventColumns) -> NDArray[np.int64]:
        """(B, W) states; a state that cannot be read any more starts anew and is counted."""
        try:
            return self._codec.unpack(stored.states, users=columns.user_hashes)
        except StateFormatError as error:
            self._metrics.degradations.labels(kind="unreadable-state").inc(len(error.rows))
            log.error("states start anew: %s", error)
            blobs = [None if row in error.rows else blob for row, blob in enumerate(stored.states)]
            return self._codec.unpack(blobs, users=columns.user_hashes)

    def _places(self, records: Sequence[LogRecord]) -> NDArray[np.int64]:
        """(R, 3) int64: topic number, partition and offset of each record."""
        topics = self._config.topics
        return np.array(
            [(_TOPIC_NUMBER[topics[record.topic]], record.partition, record.offset) for record in records],
            np.int64,
        ).reshape(-1, 3)

    def _writes(
        self,
        stored: StoredBatch,
        watermarks: Mapping[int, Mapping[str, int]],
        *,
        states: Iterable[tuple[UserAt, bytes]],
        slates: Iterable[tuple[UserAt, bytes]],
        waiting: Iterable[tuple[UserAt, int]],
    ) -> list[PartitionWrite]:
        """What changes in each partition: packed states, slates, and who waits for one since when."""
        changes, made, late = _by_partition(states), _by_partition(slates), _by_partition(waiting)
        return [
            PartitionWrite(
                partition=partition,
                batch_id=self._batch_id(partition),
                expected=stored.applied[partition],
                applied={
                    topic: at for topic, at in marks.items() if at > stored.applied[partition].get(topic, -1)
                },
                states=changes[partition],
                slates=made[partition],
                waiting=late[partition],
                served=list(made[partition]),
            )
            for partition, marks in watermarks.items()
        ]

    def _stage(self, stage: str) -> Any:
        return timed_ms(self._metrics.stage_ms.labels(stage=stage))

    def _count(
        self, records: Sequence[LogRecord], *, events: NDArray[np.int64], new: NDArray[np.bool_]
    ) -> None:
        """Count `events` (R,) of each record, apart where the record was applied before."""
        self._metrics.batch_events.observe(int(events.sum()))
        counts: Counter[tuple[str, bool]] = Counter()
        for record, held, is_new in zip(records, events.tolist(), new.tolist(), strict=True):
            counts[record.topic, is_new] += held
        for (topic, is_new), count in counts.items():
            counter = self._metrics.events if is_new else self._metrics.duplicates
            counter.labels(topic=topic).inc(count)

    def _batch_id(self, partition: int) -> str:
        self._batch += 1
        return f"{self._worker}-{self._batch}-{partition}"

    def _letter(self, record: LogRecord, reject: Reject) -> Record:
        self._metrics.dead_letters.labels(reason=reject.error.reason).inc()
        return letter(record, reject, topic=self._config.dead_letters_topic)


def _advanced(
    applied: Mapping[int, Mapping[str, int]], records: Sequence[LogRecord]
) -> dict[int, dict[str, int]]:
    """The watermarks once `records` are applied; they never move back."""
    marks = {partition: dict(applied[partition]) for partition in {record.partition for record in records}}
    for record in records:
        of_partition = marks[record.partition]
        of_partition[record.topic] = max(record.offset, of_partition.get(record.topic, -1))
    return marks


def _by_partition(of_users: Iterable[tuple[UserAt, _Value]]) -> defaultdict[int, dict[str, _Value]]:
    """The values of users, by partition and user."""
    parts: defaultdict[int, dict[str, _Value]] = defaultdict(dict)
    for (partition, user), value in of_users:
        parts[partition][user] = value
    return parts
