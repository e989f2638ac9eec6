"""The recommender agent's work: a micro-batch of events becomes states, slates and dead letters.

`process` reads from top to bottom as the path of one click. What it returns must be on the broker before the
records are acked; until then everything here may happen again, and doing it twice changes nothing.
"""

import asyncio
import os
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from events.clock import Clock
from events.codec import Reject
from events.flatten import EventColumns, HashCache, to_columns
from events.ids import UserId, stable_hash
from events.recommendation import encode_recommendation
from events.topics import USER_TOPICS, Topic
from serving.errors import StaleWriter, StateFormatError
from serving.overload import Overload
from serving.ports import PartitionWrite, StoredBatch, UserStore
from serving.slate_record import record_of
from serving.state import StateCodec
from serving.state_layout import LAST_MS, OFFSET, PARTITION, TOPIC
from streams.dead_letters import letter
from streams.decoding import Arrivals, decode_records
from streams.log_reader import LogRecord
from streams.logs import get_logger
from streams.metrics import Metrics, timed_ms
from streams.publisher import Record
from streams.serving_model import ServingModel

log = get_logger("recommender")

_TRIES = 5
_TOPIC_NUMBER = {topic: number for number, topic in enumerate(USER_TOPICS)}


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """How the agent names its outputs, and what of the model it may use."""

    topics: Mapping[str, Topic]  # full topic name -> what it carries
    recommendations_topic: str
    dead_letters_topic: str
    pending_max: int = 64  # waiting users of a partition that get their slates at a time
    deep: bool = True  # the transformer may serve, if it pays
    history: int = 128  # distinct items of a user that the sources see


@dataclass(frozen=True, slots=True)
class Turn:
    """A user whose slate is due: the state to make it from, and since when the user waits."""

    user_id: UserId
    partition: int
    state: NDArray[np.int64]  # (W,)
    arrived_ms: int  # when the newest event that it answers reached the broker
    watermarks: Mapping[str, int]  # topic -> offset, of the partition


class RecommendingAgent:
    """Folds events into users' states and answers them with slates. One call of `process` or `catch_up` at a
    time (it sees to that itself), because both read and write the same partitions."""

    def __init__(
        self,
        config: AgentConfig,
        *,
        store: UserStore,
        codec: StateCodec,
        model: ServingModel,
        lock: AbstractContextManager[Any],
        overload: Overload,
        metrics: Metrics,
        clock: Clock,
    ) -> None:
        self._config = config
        self._store = store
        self._codec = codec
        self._model = model
        self._lock = lock
        self._overload = overload
        self._metrics = metrics
        self._clock = clock
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
            arrivals = decode_records(records, topics=self._config.topics, now_ms=self._clock.now_ms())
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

    async def catch_up(self, partitions: Collection[int]) -> list[Record]:
        """Make slates for users of these partitions whose slates waited during a backlog; [] when none does."""
        async with self._turn:
            slates: list[Record] = []
            for partition in sorted(partitions):
                users = await self._store.pending(partition, limit=self._config.pending_max)
                if users:
                    slates += await self._recommend_waiting(partition, users)
            return slates

    async def _fold_and_recommend(
        self, records: Sequence[LogRecord], arrivals: Arrivals, *, behind: bool
    ) -> list[Record]:
        columns = to_columns(arrivals.events, hashes=self._hashes)
        home = dict(zip((event.user_id for event in arrivals.events), arrivals.records, strict=True))
        users = [(home[user].partition, user) for user in columns.users]
        partitions = {record.partition for record in records}

        # 2. One round trip: the users' states, and how far their partitions have been applied.
        with self._stage("read"):
            stored = await self._store.read(users, partitions=partitions)
            states = self._unpack(stored, columns)

        # 3. Drop what has been applied before, fold in the rest.
        fresh = np.array(
            [
                record.offset > stored.applied[record.partition].get(record.topic, -1)
                for record in arrivals.records
            ],
            np.bool_,
        )
        changed = self._fold(states, columns, arrivals.records, fresh=fresh)
        watermarks = _advanced(stored.applied, records)

        # 4. Sources, ranker, diversity layer: a slate for each user whose turn it is.
        turns = [
            Turn(
                user_id=user,
                partition=partition,
                state=states[row],
                arrived_ms=home[user].timestamp_ms,
                watermarks=watermarks[partition],
            )
            for row, (partition, user) in enumerate(users)
        ]
        slates = [] if behind else self._recommend(turns)

        # 5. One round trip, atomic: states, slates, waiting users, and the offsets that they include.
        writes = self._writes(stored, watermarks, turns=turns, changed=changed, slates=slates)
        with self._stage("write"):
            await self._store.write(writes)
        self._count(arrivals, fresh=fresh)
        return slates

    async def _recommend_waiting(self, partition: int, users: Sequence[str]) -> list[Record]:
        stored = await self._store.read([(partition, user) for user in users])
        known = [(UserId(user), blob) for user, blob in zip(users, stored.states, strict=True) if blob is not None]
        hashes = np.array([stable_hash(user) for user, _ in known], np.int64)
        states = self._codec.unpack([blob for _, blob in known], users=hashes)
        now_ms = self._clock.now_ms()
        turns = [
            Turn(user, partition, states[row], now_ms, stored.applied[partition])
            for row, (user, _) in enumerate(known)
        ]
        slates = self._recommend(turns)
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
            return []  # the partition's new owner finds them waiting
        return slates

    def _recommend(self, turns: Sequence[Turn]) -> list[Record]:
        if not turns:
            return []
        now_ms = self._clock.now_ms()
        oldest_ms = float(now_ms - min(turn.arrived_ms for turn in turns))
        states = np.stack([turn.state for turn in turns])
        deep = self._config.deep and self._model.deep_pays
        plan = self._overload.plan(users=len(turns), oldest_ms=oldest_ms, deep=deep)
        started = perf_counter()
        view = self._codec.view(states, history=self._config.history)
        with self._lock:
            slates = self._model.recommender.recommend(
                view, now_ms=states[:, LAST_MS], seeds=_seeds(states), plan=plan, deep=deep
            )
            provenance = self._model.provenance(made_at_ms=self._clock.now_ms())
            made = [
                record_of(
                    slates,
                    row,
                    user_id=turn.user_id,
                    place=_place(turn.state),
                    seen_offsets={f"{topic}-{turn.partition}": at for topic, at in turn.watermarks.items()},
                    fresh_ms=max(0.0, provenance.made_at_ms - turn.arrived_ms),
                    degraded=plan.degraded(row),
                    catalogue=self._model.recommender.sources.catalogue,
                    provenance=provenance,
                )
                for row, turn in enumerate(turns)
            ]
        self._overload.observe(
            users=len(turns),
            wide_ms=(perf_counter() - started) * 1e3 - slates.deep_ms,
            deep_users=plan.deep_users if deep else 0,
            deep_ms=slates.deep_ms,
        )
        for record in made:
            self._metrics.freshness_ms.observe(record.fresh_ms)
            self._metrics.arm_pulls.labels(arm=record.policy.arm).inc()
            if record.degraded:
                self._metrics.degradations.labels(kind=record.degraded).inc()
        self._metrics.recommendations.inc(len(made))
        return [
            Record(
                self._config.recommendations_topic,
                turn.user_id.encode(),
                encode_recommendation(record),
                turn.partition,
            )
            for turn, record in zip(turns, made, strict=True)
        ]

    def _unpack(self, stored: StoredBatch, columns: EventColumns) -> NDArray[np.int64]:
        """(B, W) states; a state that cannot be read any more starts anew and is counted."""
        try:
            return self._codec.unpack(stored.states, users=columns.user_hashes)
        except StateFormatError as error:
            self._metrics.degradations.labels(kind="unreadable-state").inc(len(error.rows))
            log.error("states start anew: %s", error)
            blobs = [None if row in error.rows else blob for row, blob in enumerate(stored.states)]
            return self._codec.unpack(blobs, users=columns.user_hashes)

    def _fold(
        self,
        states: NDArray[np.int64],
        columns: EventColumns,
        records: Sequence[LogRecord],
        *,
        fresh: NDArray[np.bool_],
    ) -> set[UserId]:
        """Fold the fresh events into `states` in place; the users whose state changed."""
        if not fresh.any():
            return set()
        positions = np.array(
            [
                (_TOPIC_NUMBER[self._config.topics[record.topic]], record.partition, record.offset)
                for record in records
            ],
            np.int64,
        )
        applied = self._codec.fold(states, columns=columns, positions=positions, skip=~fresh)
        return {columns.users[user] for user in np.unique(columns.event_user[applied]).tolist()}

    def _writes(
        self,
        stored: StoredBatch,
        watermarks: Mapping[int, Mapping[str, int]],
        *,
        turns: Sequence[Turn],
        changed: set[UserId],
        slates: Sequence[Record],
    ) -> list[PartitionWrite]:
        blobs = self._codec.pack(np.stack([turn.state for turn in turns])) if turns else []
        of_partition: dict[int, list[int]] = defaultdict(list)
        for row, turn in enumerate(turns):
            of_partition[turn.partition].append(row)
        writes = []
        for partition, marks in watermarks.items():
            expected = stored.applied[partition]
            applied = {topic: at for topic, at in marks.items() if at > expected.get(topic, -1)}
            rows = of_partition[partition]
            writes.append(
                PartitionWrite(
                    partition=partition,
                    batch_id=self._batch_id(partition),
                    expected=expected,
                    applied=applied,
                    states={turns[row].user_id: blobs[row] for row in rows if turns[row].user_id in changed},
                    slates={turns[row].user_id: slates[row].value or b"" for row in rows} if slates else {},
                    waiting={} if slates else {turns[row].user_id: int(turns[row].state[LAST_MS]) for row in rows},
                    served=[turns[row].user_id for row in rows] if slates else (),
                )
            )
        return writes

    def _stage(self, stage: str) -> Any:
        return timed_ms(self._metrics.stage_ms.labels(stage=stage))

    def _count(self, arrivals: Arrivals, *, fresh: NDArray[np.bool_]) -> None:
        self._metrics.batch_events.observe(len(arrivals.events))
        for record, is_fresh in zip(arrivals.records, fresh.tolist(), strict=True):
            counter = self._metrics.events if is_fresh else self._metrics.duplicates
            counter.labels(topic=record.topic).inc()

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


def _place(state: NDArray[np.int64]) -> dict[str, int]:
    """Where the user's last applied event lies: what a recommendation's id is made from."""
    return {f"{state[TOPIC]}-{state[PARTITION]}": int(state[OFFSET])}


def _seeds(states: NDArray[np.int64]) -> NDArray[np.uint64]:
    """(B,) chance of each slate: a function of the user's last applied event, so that a redelivery repeats it."""
    with np.errstate(over="ignore"):
        mixed = states[:, 1].view(np.uint64) ^ (
            (states[:, OFFSET].astype(np.uint64) * np.uint64(8) + states[:, TOPIC].astype(np.uint64))
            * np.uint64(0x9E3779B97F4A7C15)
        )
    return mixed
