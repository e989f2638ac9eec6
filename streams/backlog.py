"""Is the worker behind, and who waits for a slate because it was?"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, Protocol

import faust

from streams.log_reader import LogReader, LogRecord
from streams.metrics import Metrics
from streams.publisher import Publisher, Record


class CatchUp(Protocol):
    """Serves waiting users of a partition; how many there were."""

    async def __call__(
        self, partition: int, *, publish: Callable[[Sequence[Record]], Awaitable[None]]
    ) -> int: ...


_TICK_S = 0.1
_LAG_TICK_S = 1.0


class Backlog:
    """Watches the lag by the high-water marks that fetches bring, and serves waiting users once it is gone.

    A worker is behind while its sources have not read their topics to the end, and while more than
    `behind_events` records lie before it.
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

    def behind(self, records: Sequence[LogRecord]) -> bool:
        """Whether the slates of these records are to wait."""
        for record in records:
            self._read[record.topic, record.partition] = record.offset + 1
        late = not self._reader.caught_up.is_set() or sum(self.lags().values()) >= self._behind_events
        if late:
            self._waiting.update(record.partition for record in records)
        return late

    def lags(self) -> dict[tuple[str, int], int]:
        """Records that lie before the worker, of each partition that it owns and has read from."""
        owned = {(tp.topic, tp.partition) for tp in self._app.consumer.assignment()}
        lags = {}
        for place in owned & self._read.keys():
            highwater = self._app.consumer.highwater(_topic_partition(place))
            lags[place] = max(0, (highwater or 0) - self._read[place])
        return lags

    def attach(self, *, catch_up: CatchUp, publisher: Publisher) -> None:
        """Give the app the timers that serve waiting users and show the lag."""

        async def serve_waiting() -> None:
            partitions = frozenset(
                tp.partition for tp in self._app.consumer.assignment() if tp.topic in self._topics
            )
            self._waiting |= (
                partitions - self._assigned
            )  # a worker before this one may have left some waiting
            self._waiting &= partitions
            self._assigned = partitions
            self._metrics.ready.set(bool(partitions) and self._reader.caught_up.is_set())
            if not self._waiting or self.behind(()):
                return
            partition = min(self._waiting)
            if not await catch_up(partition, publish=publisher.send):
                self._waiting.discard(partition)

        async def show_lag() -> None:
            self._metrics.set_lag(self.lags())
            self._metrics.pending_partitions.set(len(self._waiting))

        self._app.timer(_TICK_S, name="serve-waiting")(serve_waiting)
        self._app.timer(_LAG_TICK_S, name="show-lag")(show_lag)


def _topic_partition(place: tuple[str, int]) -> Any:
    return faust.types.TP(*place)
