"""Brings states that lack events up to what was taken, by replaying the log from their watermarks on.

Why a replay beside the consumer, and not the consumer sought back: shoppers' new events lie at the log's end, and
would wait until everything before them has been replayed. So the group reads on, its slates are made from what
is there, and this replays the partition in the order of its records' times. A state lies with its watermark in one
atomic write, so a replay that is cut off at any point goes on from the watermark, in this worker or in another,
and every event is folded once.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Protocol

import faust

from serving.errors import StaleWriter, StoreUnavailable
from streams.continuity import Continuity
from streams.logs import get_logger
from streams.metrics import Metrics
from streams.partition_log import PartitionLog
from streams.recommending import RecommendingAgent

log = get_logger("rebuild")

Applied = Callable[[Collection[int]], Awaitable[Mapping[int, Mapping[str, int]]]]
Owned = Callable[[], frozenset[int]]


class OpenLog(Protocol):
    """Opens a partition's log at the next offset of each topic."""

    def __call__(self, *, partition: int, start: Mapping[str, int]) -> PartitionLog: ...


_LOOK_S = 0.5
_AT_ONCE = 512  # records: a click of another partition waits for these, some 10 ms
_PROGRESS_S = 5.0


class Rebuilding:
    """Looks every half second whether the store has all that was taken, and replays what it lacks."""

    def __init__(
        self,
        agent: RecommendingAgent,
        *,
        applied: Applied,
        continuity: Continuity,
        topics: Collection[str],
        open_log: OpenLog,
        owned: Owned,
        metrics: Metrics,
        give_up_s: float = 30.0,
    ) -> None:
        self._agent = agent
        self._applied = applied  # not by the agent: it must not wait for a store that is away
        self._continuity = continuity
        self._topics = tuple(topics)
        self._open_log = open_log
        self._owned = owned
        self._metrics = metrics
        self._give_up_s = give_up_s  # waiting for records that were taken and are not in the log

    def attach(self, app: faust.App) -> None:
        """Give the app the timer that looks."""
        app.timer(_LOOK_S, name="rebuild")(self.look)

    async def look(self) -> None:
        """Replay what the store lacks of the partitions owned now, one after the other."""
        owned = self._owned()
        self._continuity.keep(owned)
        if not owned:
            return
        try:
            if self._continuity.away:
                await self._applied(owned)
            await self._agent.look(owned)
            while lacking := sorted(self._continuity.lacking & self._owned()):
                await self.rebuild(lacking[0])
        except StaleWriter as error:
            log.info("begun again: %s", error)
        except StoreUnavailable as error:
            with self._continuity.tolerating_absence():
                raise error

    async def rebuild(self, partition: int) -> None:
        """Replay the partition until its states hold all that was taken, or it has another owner."""
        marks = dict((await self._applied([partition]))[partition])
        start = {topic: marks.get(topic, -1) + 1 for topic in self._topics}
        source = await asyncio.to_thread(self._open_log, partition=partition, start=start)
        started = told = progressed = time.monotonic()
        count = 0
        try:
            while partition in self._owned():
                records = await asyncio.to_thread(source.take, _AT_ONCE)
                now = time.monotonic()
                if records:
                    marks = await self._agent.replay(partition, records, marks=marks)
                    count, progressed = count + len(records), now
                    left = source.left()
                    self._metrics.rebuild_left.set(left)
                    if now - told > _PROGRESS_S:
                        told = now
                        log.info("partition %d: %d records replayed, about %d left", partition, count, left)
                    continue
                reached = source.reached()
                if now - progressed > self._give_up_s:
                    log.error(
                        "the log of partition %d ends at %s, before what was taken of it: records were lost by "
                        "the broker",
                        partition,
                        reached,
                    )
                    reached = self._continuity.taken(partition)
                if await self._agent.settle(partition, marks=marks, reached=reached):
                    log.warning(
                        "partition %d: states are whole again after %d records in %.1f s",
                        partition,
                        count,
                        now - started,
                    )
                    return
        finally:
            self._metrics.rebuild_left.set(0)
            await asyncio.to_thread(source.close)
