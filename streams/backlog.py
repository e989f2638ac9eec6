"""Is the worker behind, and who waits for a slate because it was?"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

import faust

from streams.log_reader import LogReader, LogRecord
from streams.metrics import Metrics
from streams.publisher import Publisher, Record

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

    The end is where the group-less reader is, which follows every partition to its fetched high-water mark. A
    worker is behind while that reader is still reading the topics for the first time, while it does not know
    yet how far a partition of its own has been applied, and while more than `behind_events` events lie before
    it; a record that is still to come counts as many events as those of the last batch held on average.
    """

    def __init__(
        self,
        app: faust.App,
        *,
        reader: LogReader,
        topics: Collection[str],
        behind_events: int,
        metrics: Metrics,
    ) -> None:
        self._app = app
        self._reader = reader
        self._topics = frozenset(topics)
        self._behind_events = behind_events
        self._metrics = metrics
        self._read: dict[tuple[str, int], int] = {}  # next offset, of what was taken
        self._waiting: set[int] = set()  # partitions in which users may wait
        self._assigned: frozenset[int] = frozenset()
        self._events_per_record = 1.0  # of the last batch
        self._generation: Any = None  # of the consumer group
        self._partitions: frozenset[int] = frozenset()  # owned in it

    def behind(self, records: Sequence[LogRecord] = ()) -> bool:
        """Whether the slates of these records are to wait; without records, whether anybody's would have to."""
        for record in records:
            self._read[record.topic, record.partition] = record.offset + 1
        here = sum(events_in(record) for record in records)
        if records:
            self._events_per_record = here / len(records)
        late = (
            not self._reader.caught_up.is_set()
            or self._owned() - {partition for _, partition in self._read} != frozenset()
            or here + sum(self.lags().values()) * self._events_per_record >= self._behind_events
        )
        if late:
            self._waiting.update(record.partition for record in records)
        return late

    def lags(self) -> dict[tuple[str, int], int]:
        """Records that lie before the worker, of each partition of its own whose position it knows."""
        owned = self._owned()
        ends = self._reader.positions()
        return {
            place: max(0, ends.get(place, 0) - read)
            for place, read in self._read.items()
            if place[1] in owned
        }

    def attach(self, *, catch_up: CatchUp, applied: Applied, publisher: Publisher) -> None:
        """Give the app the timers that learn of new partitions, serve waiting users and show the lag."""

        async def serve_waiting() -> None:
            owned = self._owned()
            new, self._assigned = owned - self._assigned, owned
            if new:
                await self._learn_positions(new, applied)
            self._waiting = (self._waiting | new) & owned  # a worker before this one may have left some
            self._metrics.ready.set(bool(owned) and self._reader.caught_up.is_set())
            if not self._waiting or self.behind():
                return
            partition = min(self._waiting)
            if not await catch_up(partition, publish=publisher.send):
                self._waiting.discard(partition)

        async def show_lag() -> None:
            self._metrics.set_lag(self.lags())
            self._metrics.pending_partitions.set(len(self._waiting))

        self._app.timer(_TICK_S, name="serve-waiting")(serve_waiting)
        self._app.timer(_LAG_TICK_S, name="show-lag")(show_lag)

    async def _learn_positions(self, partitions: Collection[int], applied: Applied) -> None:
        """What was applied of partitions that this worker has just been given."""
        for partition, marks in (await applied(partitions)).items():
            for topic in self._topics:
                place = (topic, partition)
                self._read[place] = max(self._read.get(place, 0), marks.get(topic, -1) + 1)

    def _owned(self) -> frozenset[int]:
        generation = self._app.consumer_generation_id
        if generation != self._generation or not self._partitions:
            self._partitions = frozenset(
                tp.partition for tp in self._app.consumer.assignment() if tp.topic in self._topics
            )
            self._generation = generation
        return self._partitions


def events_in(record: LogRecord) -> int:
    """About how many events the record holds, without decoding it: an envelope names an event_id for each.

    >>> events_in(LogRecord("clicks", 0, 0, 0, None, b'{"events":[{"event_id":"a"},{"event_id":"b"}]}'))
    2
    """
    return max(1, (record.value or b"").count(b'"event_id"'))
