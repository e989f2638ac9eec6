"""One timing of one contender: it is made ready, stopped, given a backlog, let go, and timed to the last event.

A contender that is stopped (SIGSTOP) while its backlog is written can neither start early nor be slowed by the
writing. All of them are timed in this way, from SIGCONT on.
"""

import asyncio
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec

from bench.errors import BenchError
from bench.filling import fill
from bench.raw_loops import ASSIGNED, DONE, RawLoop
from bench.scrape import parse
from events.topics import Topic
from serving.redis_store import RedisStore
from streams.processes import spawn
from streams.publisher import Record
from streams.settings import Settings
from streams.system import System
from streams.topics import ensure, topic_name

Fill = Callable[[Settings], Iterable[Record]]
_WORKER = "recommender-1"
_READY_S = 90.0
_RUN_S = 180.0
_POLL_S = 0.01


def time_raw(kind: Literal["faust", "aiokafka"], *, settings: Settings, records: Fill, count: int) -> float:
    """Records a second of a raw loop over `count` records of the clicks topic."""
    kafka = settings.kafka
    ensure(kafka)
    loop = RawLoop(
        bootstrap_servers=kafka.bootstrap_servers,
        topic=topic_name(Topic.CLICKS, kafka=kafka),
        partitions=kafka.partitions,
        group=f"{kafka.topic_prefix}raw-{kind}",
        expected=count,
        session_timeout_s=kafka.session_timeout_s,
        heartbeat_s=kafka.heartbeat_s,
        commit_interval_s=kafka.commit_interval_s,
        fetch_wait_ms=kafka.fetch_wait_ms or 500,
    )
    with tempfile.TemporaryDirectory(prefix="headwater-bench-") as folder:
        log = Path(folder) / "raw.log"
        told = msgspec.json.encode(loop).decode()
        child = spawn(
            [sys.executable, "-m", "bench.raw_loops", kind, told], name=f"raw {kind} loop", log_file=log
        )
        try:
            child.wait_until(lambda: bool(_said(log, ASSIGNED)), timeout_s=_READY_S, what="assignment")
            started = _with_backlog(child.pid, settings=settings, records=records)[0]
            child.wait_until(
                lambda: bool(_said(log, DONE)), timeout_s=_RUN_S, what=f"end of {count:,} records"
            )
            done = float(_said(log, DONE)[0])
        finally:
            child.kill()
    return count / (done - started)


def time_headwater(*, settings: Settings, records: Fill, events: int) -> float:
    """Events a second of one recommender until Redis holds every offset and the sources have learnt every event."""
    with System(settings, recommenders=1, learner=False, encoder=False) as system:
        system.wait_ready(timeout_s=_READY_S)
        pid = system.supervisor.pids[_WORKER]
        started, ends = _with_backlog(pid, settings=settings, records=records)
        done = asyncio.run(_all_applied(system, settings=settings, ends=ends, events=events))
        if restarts := sum(system.supervisor.restarts.values()):
            raise BenchError(f"the recommender crashed {restarts} times\n{system.log_tail(_WORKER)}")
    return events / (done - started)


def _with_backlog(pid: int, *, settings: Settings, records: Fill) -> tuple[float, dict[tuple[str, int], int]]:
    """When the process was let go (monotonic seconds), and the last offset of each partition."""
    with _stopped(pid):
        ends = fill(settings.kafka.confluent(), records(settings))
        started = time.monotonic()
    return started, ends


@contextmanager
def _stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def _all_applied(
    system: System, *, settings: Settings, ends: Mapping[tuple[str, int], int], events: int
) -> float:
    """When Redis and sources had everything. BenchError when they don't in time."""
    partitions = settings.kafka.partitions
    store = RedisStore(settings.redis.options(), keys=settings.redis.key_space(partitions=partitions))
    deadline = time.monotonic() + _RUN_S
    applied: Mapping[int, Mapping[str, int]] = {}
    learnt = 0.0
    try:
        while time.monotonic() < deadline:
            applied = await store.applied(range(partitions))
            if all(applied[place].get(topic, -1) >= end for (topic, place), end in ends.items()):
                learnt = parse(system.metrics(_WORKER)).get("headwater_source_events_total", 0.0)
                if learnt >= events:
                    return time.monotonic()
            await asyncio.sleep(_POLL_S)
    finally:
        await store.close()
    raise BenchError(
        f"after {_RUN_S:g} s the sources have learnt {learnt:,.0f} of {events:,} events; applied {dict(applied)}, "
        f"expected {dict(ends)}\n{system.log_tail(_WORKER)}"
    )


def _said(log: Path, word: str) -> list[str]:
    """What follows `word` in each line of the log that begins with it; "" where nothing does."""
    lines = log.read_text(errors="replace").splitlines() if log.exists() else []
    return [line.removeprefix(word).strip() or word for line in lines if line.split(" ")[0] == word]
