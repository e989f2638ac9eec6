"""Watches the workers of a fuzz run until they have taken everything, or one of them crashes or sticks."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from bench.errors import BenchError
from bench.scrape import parse, total
from bench.telling import Tell
from serving.redis_store import RedisStore
from streams.system import System

_POLL_S = 1.0
_TOLD_EVERY_S = 10.0


@dataclass(frozen=True, slots=True)
class Aim:
    """What there is to take."""

    ends: Mapping[tuple[str, int], int]  # the last offset of each partition
    events: int  # good ones of shoppers
    items_topic: str


@dataclass(frozen=True, slots=True)
class Patience:
    """How long nothing may happen, and how long all may take."""

    stall_s: float
    timeout_s: float


class _Progress(NamedTuple):
    left: int  # records of shoppers that the recommender has not applied
    waiting: float  # partitions in which slates wait
    followed: float  # events that the recommender's sources have learnt
    learnt: float  # events that the learner has taken
    described: float  # catalogue records that the encoder has taken

    def done(self, aim: Aim) -> bool:
        items = sum(end + 1 for (topic, _), end in aim.ends.items() if topic == aim.items_topic)
        return self == (0, 0, aim.events, aim.events, items)

    def __str__(self) -> str:
        return (
            f"{self.left:,} records to fold, {self.waiting:.0f} partitions wait for slates, sources have "
            f"{self.followed:,.0f} events, the learner {self.learnt:,.0f}, the encoder {self.described:,.0f} records"
        )


async def watch(system: System, *, aim: Aim, patience: Patience, tell: Tell) -> float:
    """The longest time in seconds in which nothing moved; returns once all is taken.

    BenchError, with the ends of the logs, when a worker was restarted, nothing moves, or it takes too long.
    """
    settings = system.settings
    keys = settings.redis.key_space(partitions=settings.kafka.partitions)
    store = RedisStore(settings.redis.options(), keys=keys)
    started = moved_at = told_at = time.monotonic()
    last, quiet_s = None, 0.0
    try:
        while True:
            seen, now = await _progress(system, store=store, aim=aim), time.monotonic()
            if seen.done(aim):
                return quiet_s
            moved_at = now if seen != last else moved_at
            last, quiet_s = seen, max(quiet_s, now - moved_at)
            if now - told_at > _TOLD_EVERY_S:
                told_at = now
                tell(str(seen))
            restarts = sum(system.supervisor.restarts.values())
            if restarts or now - moved_at > patience.stall_s or now - started > patience.timeout_s:
                tails = "\n".join(system.log_tail(name, lines=30) for name in system.metrics_ports)
                raise BenchError(
                    f"{restarts} restarts, nothing moved for {now - moved_at:.0f} s, {now - started:.0f} s in all; "
                    f"{seen}; expected {aim.events:,} events\n{tails}"
                )
            await asyncio.sleep(_POLL_S)
    finally:
        await store.close()


async def _progress(system: System, *, store: RedisStore, aim: Aim) -> _Progress:
    applied = await store.applied(range(system.settings.kafka.partitions))
    left = sum(
        end - applied[place].get(topic, -1)
        for (topic, place), end in aim.ends.items()
        if topic != aim.items_topic
    )
    own, learner, encoder = (parse(system.metrics(name)) for name in ("recommender-1", "learner", "encoder"))
    return _Progress(
        left=left,
        waiting=own.get("headwater_pending_partitions", 1.0),
        followed=own.get("headwater_source_events_total", 0.0),
        learnt=total(learner, "headwater_events_total"),
        described=total(encoder, "headwater_events_total"),
    )
