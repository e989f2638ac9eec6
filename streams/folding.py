"""Records into states: what a batch's users have afterwards, and what the store is to be told. Pure but for
metrics and logs.

Records are walked in Python, events are not: a backlog in envelopes has fifty times as many of them.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from events.columns import Kind
from events.flatten import EventColumns, HashCache, to_columns
from events.topics import USER_TOPICS, Topic
from serving.errors import StateFormatError
from serving.ports import PartitionWrite, StoredBatch, UserAt
from serving.state import StateCodec
from serving.state_layout import LAST_MS
from streams.decoding import Arrivals
from streams.log_reader import LogRecord
from streams.logs import get_logger
from streams.metrics import Metrics

log = get_logger("recommender")
_Value = TypeVar("_Value")
_TOPIC_NUMBER = {topic: number for number, topic in enumerate(USER_TOPICS)}


@dataclass(frozen=True, slots=True)
class Batch:
    """R records, the n events in them, and the B users that these name."""

    records: Sequence[LogRecord]  # R
    places: NDArray[np.int64]  # (R, 3) topic number, partition, offset
    columns: EventColumns
    origins: NDArray[np.int64]  # (n,) index into `records`
    latest: NDArray[np.int64]  # (B,) index into `records`, of the user's last event
    users: Sequence[UserAt]  # B, in the order of their first events

    def acted(self) -> list[int]:
        """The rows of users who did something, rather than being shown something."""
        rows: list[int] = _distinct(
            self.columns.event_user[self.columns.event_kinds != Kind.IMPRESSION]
        ).tolist()
        return rows

    def last_record(self, row: int) -> LogRecord:
        """The record of the user's last event."""
        return self.records[int(self.latest[row])]


@dataclass(frozen=True, slots=True)
class Folded:
    """The batch's users after the events that had not been applied before."""

    batch: Batch
    states: NDArray[np.int64]  # (B, W)
    changed: NDArray[np.int64]  # (k,) rows of users whose state is another than before
    new: NDArray[np.bool_]  # (R,) records that lie above the watermarks and those before them
    watermarks: Mapping[int, Mapping[str, int]]  # by partition, once this is written

    def counts(self, *, new: bool) -> Counter[str]:
        """Events by topic, in new records or in those that were applied before."""
        batch = self.batch
        held = np.bincount(batch.origins, minlength=len(batch.records)).tolist()
        counts: Counter[str] = Counter()
        for record, events, is_new in zip(batch.records, held, self.new.tolist(), strict=True):
            if is_new == new:
                counts[record.topic] += events
        return counts

    def last_ms(self, rows: Sequence[int]) -> list[tuple[UserAt, int]]:
        """These users and the times of their last events."""
        times = self.states[rows, LAST_MS].tolist() if rows else []
        return [(self.batch.users[row], last_ms) for row, last_ms in zip(rows, times, strict=True)]


class Folding:
    """Folds batches for one layout of states."""

    def __init__(self, codec: StateCodec, *, topics: Mapping[str, Topic], metrics: Metrics) -> None:
        self._codec = codec
        self._topics = topics
        self._metrics = metrics
        self._hashes = HashCache()

    def batch(self, records: Sequence[LogRecord], arrivals: Arrivals) -> Batch:
        """The records as one batch, `arrivals` being what they hold."""
        columns = to_columns(arrivals.events, hashes=self._hashes)
        places = np.array(
            [
                (_TOPIC_NUMBER[self._topics[record.topic]], record.partition, record.offset)
                for record in records
            ],
            np.int64,
        ).reshape(-1, 3)
        latest = np.zeros(len(columns.users), np.int64)
        latest[columns.event_user] = arrivals.origins  # of several, the last stays
        users: list[UserAt] = list(zip(places[latest, 1].tolist(), columns.users, strict=True))
        return Batch(records, places, columns, arrivals.origins, latest, users)

    def fold(self, batch: Batch, *, stored: StoredBatch) -> Folded:
        """What follows from the batch, given what the store has: of its users, and of the partitions of its records.

        A rebalance may bring records again behind those that were waiting: only what rises above all before it in
        its partition is new.
        """
        states = self._unpack(stored, batch.columns.user_hashes)
        new, watermarks = _advanced(stored.applied, batch.records)
        applied = self._codec.fold(
            states,
            columns=batch.columns,
            positions=batch.places[batch.origins],
            skip=~new[batch.origins],
        )  # (n,)
        changed = _distinct(batch.columns.event_user[applied])
        return Folded(batch, states, changed, new, watermarks)

    def writes(
        self,
        folded: Folded,
        *,
        stored: StoredBatch,
        batch_id: Callable[[int], str],
        lacking: Collection[int] = (),
        slates: Iterable[tuple[int, bytes]] = (),
        waiting: Sequence[int] = (),
    ) -> list[PartitionWrite]:
        """What changes in each partition: states and watermarks, unless it lacks events that come before these;
        slates (row and bytes), and the rows of users who wait for one."""
        users = folded.batch.users
        rows = folded.changed
        if lacking:
            rows = rows[[users[row][0] not in lacking for row in rows.tolist()]]
        packed = self._codec.pack(folded.states, rows=rows)
        changes = _by_partition(zip([users[row] for row in rows.tolist()], packed, strict=True))
        made = _by_partition((users[row], slate) for row, slate in slates)
        late = _by_partition(folded.last_ms(waiting))
        return [
            PartitionWrite(
                partition=partition,
                batch_id=batch_id(partition),
                expected=stored.applied[partition],
                applied={}
                if partition in lacking
                else {
                    topic: at for topic, at in marks.items() if at > stored.applied[partition].get(topic, -1)
                },
                states=changes[partition],
                slates=made[partition],
                waiting=late[partition],
                served=[user for user in made[partition] if user not in late[partition]],
            )
            for partition, marks in folded.watermarks.items()
        ]

    def _unpack(self, stored: StoredBatch, hashes: NDArray[np.int64]) -> NDArray[np.int64]:
        """(B, W) states; a state that cannot be read any more starts anew and is counted."""
        try:
            return self._codec.unpack(stored.states, users=hashes)
        except StateFormatError as error:
            self._metrics.degradations.labels(kind="unreadable-state").inc(len(error.rows))
            log.error("states start anew: %s", error)
            blobs = [None if row in error.rows else blob for row, blob in enumerate(stored.states)]
            return self._codec.unpack(blobs, users=hashes)


def _distinct(rows: NDArray[np.int32]) -> NDArray[np.int64]:
    """(k,) each of the rows once, in order; several times as fast as `np.unique` for the few of a batch."""
    return np.flatnonzero(np.bincount(rows))


def _advanced(
    applied: Mapping[int, Mapping[str, int]], records: Sequence[LogRecord]
) -> tuple[NDArray[np.bool_], dict[int, dict[str, int]]]:
    """(R,) which records lie above the watermarks and above the records before them, and the watermarks once they
    are applied, which never move back."""
    marks = {partition: dict(applied[partition]) for partition in {record.partition for record in records}}
    new = np.zeros(len(records), np.bool_)
    for row, record in enumerate(records):
        of_partition = marks[record.partition]
        if record.offset > of_partition.get(record.topic, -1):
            of_partition[record.topic] = record.offset
            new[row] = True
    return new, marks


def _by_partition(of_users: Iterable[tuple[UserAt, _Value]]) -> defaultdict[int, dict[str, _Value]]:
    """The values of users, by partition and user."""
    parts: defaultdict[int, dict[str, _Value]] = defaultdict(dict)
    for (partition, user), value in of_users:
        parts[partition][user] = value
    return parts
