"""Which partitions is the worker behind in, and who waits for a slate because of it?"""

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

import faust

from streams.continuity import Continuity
from streams.log_reader import LogReader, LogRecord
from streams.metrics import Metrics
from streams.publisher import Record, Sender

Applied = Callable[[Collection[int]], Awaitable[Mapping[int, Mapping[str, int]]]]
_TICK_S = 0.1
_LAG_TICK_S = 1.0


class CatchUp(Protocol):
    """Serves waiting users of a partition; how many there were."""

    async def __call__(
        self, partition: int, *, publish: Callable[[Sequence[Record]], Awaitable[None]]
    ) -> int: ...


class Backlog:
    """Watches how far the log's end lies before the worker, and serves waiting users once it has caught up.

    The end is where the group-less reader is, which follows every partition to its fetched high-water mark and has
    been there once. A worker is behind in a partition of its own of which it does not know yet how far it was taken.
    Once `behind_events` events lie before it, it is behind in the partitions that hold more than their share of them:
    one with a long backlog makes its own shoppers wait, and nobody else's. A record that is still to come counts as
    many events as those of the last batch held on average.
    """

    def __init__(
        self,
        app: faust.App,
        *,
        reader: LogReader,
        topics: Collection[str],
        behind_events: int,
        continuity: Continuity,
        metrics: Metrics,
    ) -> None:
        self._app = app
        self._reader = reader
        self._topics = frozenset(topics)
        self._behind_events = behind_events
        self._continuity = continuity
        self._metrics = metrics
        self._read: dict[tuple[str, int], int] = {}  # next offset, of what was taken
        self._waiting: set[int] = set()  # partitions in which users may wait
        self._assigned: frozenset[int] = frozenset()
        self._events_per_record = 1.0  # of the last batch
        self._generation: Any = None  # of the consumer group
        self._partitions: frozenset[int] = frozenset()  # owned in it

    def behind(self, records: Sequence[LogRecord] = ()) -> frozenset[int]:
        """The partitions in which slates are to wait, now that these records are taken."""
        here: Counter[int] = Counter()
        for record in records:
            self._read[record.topic, record.partition] = record.offset + 1
            here[record.partition] += events_in(record)
        if records:
            self._events_per_record = here.total() / len(records)
        left = {partition: float(events) for partition, events in here.items()}
        for (_, partition), lag in self.lags().items():
            left[partition] = left.get(partition, 0.0) + lag * self._events_per_record
        owned = self.owned()
        late = behind_in(left, behind_events=self._behind_events, owned=len(owned))
        late |= owned - {partition for _, partition in self._read}
        self._waiting |= late & here.keys()
        return late

    def lags(self) -> dict[tuple[str, int], int]:
        """Records that lie before the worker, of each partition of its own whose position it knows."""
        owned = self.owned()
        ends = self._reader.positions()
        return {
            place: max(0, ends.get(place, 0) - read)
            for place, read in self._read.items()
            if place[1] in owned
        }

    def attach(self, *, catch_up: CatchUp, applied: Applied, publisher: Sender) -> None:
        """Give the app the timers that learn of new partitions, serve waiting users and show the lag."""

        async def serve_waiting() -> None:
            owned = self.owned()
            new, self._assigned = owned - self._assigned, owned
            if new:
                await self._learn_positions(new, applied)
            # A worker before this one may have left some; those of a rebuilt partition wait for a whole slate.
            self._waiting = (self._waiting | new | self._continuity.whole_again()) & owned
            self._metrics.ready.set(bool(owned))
            if not self._waiting or self._continuity.away:
                return
            ready = self._waiting - self._continuity.lacking - self.behind()
            if not ready:
                return
            partition = min(ready)
            with self._continuity.tolerating_absence():
                if not await catch_up(partition, publish=publisher.send):
                    self._waiting.discard(partition)

        async def show_lag() -> None:
            self._metrics.set_lag(self.lags())
            self._metrics.pending_partitions.set(len(self._waiting))

        self._app.timer(_TICK_S, name="serve-waiting")(serve_waiting)
        self._app.timer(_LAG_TICK_S, name="show-lag")(show_lag)

    async def _learn_positions(self, partitions: Collection[int], applied: Applied) -> None:
        """How far the partitions were taken that this worker has just been given: committed, or applied."""
        marks: Mapping[int, Mapping[str, int]] = {}
        with self._continuity.tolerating_absence():
            marks = await applied(partitions)
        for partition in partitions:
            taken = self._continuity.taken(partition)
            of_partition = marks.get(partition, {})
            for topic in self._topics:
                place = (topic, partition)
                known = max(taken.get(topic, 0), of_partition.get(topic, -1) + 1)
                self._read[place] = max(self._read.get(place, 0), known)

    def owned(self) -> frozenset[int]:
        """The partitions that are this worker's now."""
        generation = self._app.consumer_generation_id
        if generation != self._generation or not self._partitions:
            self._partitions = frozenset(
                tp.partition for tp in self._app.consumer.assignment() if tp.topic in self._topics
            )
            self._generation = generation
        return self._partitions


def behind_in(left: Mapping[int, float], *, behind_events: int, owned: int) -> frozenset[int]:
    """The partitions that make a worker of `owned` partitions be behind, by the events left in each.

    None while fewer than `behind_events` are left in all; then those with at least an equal share of that.

    >>> sorted(behind_in({0: 9_000.0, 1: 3.0, 2: 600.0}, behind_events=2_000, owned=4))
    [0, 2]
    """
    if sum(left.values()) < behind_events:
        return frozenset()
    return frozenset(at for at, events in left.items() if events >= behind_events / max(1, owned))


def events_in(record: LogRecord) -> int:
    """About how many events the record holds, without decoding it: an envelope names an event_id for each.

    >>> events_in(LogRecord("clicks", 0, 0, 0, None, b'{"events":[{"event_id":"a"},{"event_id":"b"}]}'))
    2
    """
    return max(1, (record.value or b"").count(b'"event_id"'))
