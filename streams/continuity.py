"""Do the stored states hold everything that this consumer group has taken?

A state lies beside its partition's watermarks and changes with them, atomically. So one comparison tells
whether Redis still has what was written: no watermark may lie below what was taken of its topic. One that does
means that Redis lost writes (it was emptied, or restored from a copy, or a replica without the last second took
over) or never got them (it was away). What is missing is then in the log, from the watermark on.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

from serving.errors import StoreUnavailable
from streams.log_reader import LogRecord
from streams.logs import get_logger
from streams.metrics import Metrics

log = get_logger("continuity")
_OWED_MAX = 10_000  # users of a partition


class Continuity:
    """What was taken, in which partitions the states lack some of it, and whether the store is away.

    Of one event loop. `lacking` changes only by `check` and `restored`.
    """

    def __init__(self, *, metrics: Metrics) -> None:
        self._metrics = metrics
        self._taken: dict[int, dict[str, int]] = {}  # partition -> topic -> next offset
        self._owed: dict[int, dict[str, int]] = {}  # partition -> user -> last event time (ms)
        self._lacking: set[int] = set()
        self._whole: set[int] = set()  # since they were last asked for
        self.away = False

    @property
    def lacking(self) -> frozenset[int]:
        """The partitions whose stored states lack something that was taken."""
        return frozenset(self._lacking)

    def committed(self, offsets: Mapping[tuple[str, int], int | None]) -> None:
        """Note what the group has committed (next offsets) of the partitions assigned just now."""
        for (topic, partition), offset in offsets.items():
            self._advance(topic, partition, offset or 0)

    def took(self, records: Sequence[LogRecord]) -> None:
        """Note records that are answered for: applied, or to be replayed because their partition lacks them."""
        for record in records:
            self._advance(record.topic, record.partition, record.offset + 1)

    def taken(self, partition: int) -> dict[str, int]:
        """Topic -> next offset to take; a topic of which nothing was taken is missing."""
        return dict(self._taken.get(partition, {}))

    def check(self, applied: Mapping[int, Mapping[str, int]]) -> frozenset[int]:
        """Which of these partitions lack something, given the watermarks that lie beside their states."""
        for partition, marks in applied.items():
            if partition in self._lacking:
                continue
            missing = {
                topic: taken - 1 - marks.get(topic, -1)
                for topic, taken in self._taken.get(partition, {}).items()
                if marks.get(topic, -1) + 1 < taken
            }
            if missing:
                self._lacking.add(partition)
                self._metrics.rebuilds.inc()
                log.warning(
                    "the states of partition %d lack records that were taken (%s): they are replayed from the "
                    "log, and until then slates are made from what is there",
                    partition,
                    ", ".join(f"{topic} {count}" for topic, count in sorted(missing.items())),
                )
        self._metrics.rebuilding_partitions.set(len(self._lacking))
        return self.lacking & applied.keys()

    def owe(self, partition: int, users: Mapping[str, int]) -> None:
        """Note users (id -> last event time) who were answered without a state; a bounded number of them."""
        owed = self._owed.setdefault(partition, {})
        for user_id, last_ms in users.items():
            if user_id in owed or len(owed) < _OWED_MAX:
                owed[user_id] = last_ms

    def owed(self, partition: int) -> dict[str, int]:
        """The users who were answered without a state."""
        return dict(self._owed.get(partition, {}))

    def restored(self, partition: int) -> None:
        """The partition's states lack nothing any more, and whom it owed a slate waits for it in the store."""
        self._lacking.discard(partition)
        self._whole.add(partition)
        self._owed.pop(partition, None)
        self._metrics.rebuilding_partitions.set(len(self._lacking))

    def whole_again(self) -> set[int]:
        """The partitions restored since the last call: users wait in them."""
        whole, self._whole = self._whole, set()
        return whole

    def keep(self, owned: Collection[int]) -> None:
        """Forget what was lacking in partitions that have another owner now: it finds out by itself."""
        self._lacking.intersection_update(owned)
        self._metrics.rebuilding_partitions.set(len(self._lacking))

    @contextmanager
    def tolerating_absence(self) -> Iterator[None]:
        """Note that the store is away when the block finds that it does not answer; that is no error."""
        try:
            yield
        except StoreUnavailable as error:
            if not self.away:
                log.error("slates are made without states until the store is back: %s", error)
            self.away = True
            self._metrics.store_away.set(1)

    def back(self) -> None:
        """The store answers."""
        if self.away:
            log.warning("the store answers again")
        self.away = False
        self._metrics.store_away.set(0)

    def _advance(self, topic: str, partition: int, offset: int) -> None:
        taken = self._taken.setdefault(partition, {})
        taken[topic] = max(offset, taken.get(topic, 0))
