"""The loops that Headwater's ingest is held against, each a process of its own that does nothing but take events.

    python -m bench.raw_loops faust|aiokafka '{"bootstrap_servers": …}'

It prints `assigned` once it has every partition, and `done SECONDS` (of the monotonic clock, which all processes
of a machine share) once it has taken the expected number of records.
"""

import asyncio
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec
import uvloop
from aiokafka import AIOKafkaConsumer

from streams.faust_app import AppConfig, make_app

ASSIGNED = "assigned"
DONE = "done"


class RawLoop(msgspec.Struct, frozen=True, kw_only=True):
    """What a raw loop is told: the same transport settings as the worker has beside it."""

    bootstrap_servers: str
    topic: str
    partitions: int
    group: str
    expected: int  # records
    session_timeout_s: float
    heartbeat_s: float
    commit_interval_s: float
    fetch_wait_ms: int


_TAKE_MAX, _TAKE_WITHIN_S = 500, 0.05  # of noack_take; what did best on a backlog


def run_faust(loop: RawLoop) -> None:
    """A bare Faust app with Headwater's settings on Faust's own transport: noack_take, count, ack."""
    import faust
    from faust.transport.drivers.aiokafka import Transport

    app = make_app(
        AppConfig(
            group=loop.group,
            bootstrap_servers=loop.bootstrap_servers,
            data_dir=Path(tempfile.gettempdir()) / "headwater-faust",
            session_timeout_s=loop.session_timeout_s,
            heartbeat_s=loop.heartbeat_s,
            commit_interval_s=loop.commit_interval_s,
            fetch_wait_ms=loop.fetch_wait_ms,
        )
    )
    app.transport = Transport(app.transport.url, app)
    taken = 0

    async def take(stream: Any) -> None:
        nonlocal taken
        async for events in stream.noack_take(_TAKE_MAX, within=_TAKE_WITHIN_S):
            taken += len(events)
            for event in events:
                event.ack()
            if taken >= loop.expected:
                _say(f"{DONE} {time.monotonic():.6f}")

    async def assigned(_app: Any, assigned: Any, **_: Any) -> None:
        if assigned:
            _say(ASSIGNED)

    app.agent(app.topic(loop.topic, key_type=bytes, value_type=bytes), name="raw")(take)
    on_assigned: Any = app.on_partitions_assigned  # its type asks for an argument that Faust doesn't pass
    on_assigned.connect(assigned, weak=False)
    worker = faust.Worker(app, quiet=True, loglevel="WARNING", override_logging=False, redirect_stdouts=False)
    worker.spinner = None
    worker.execute_from_commandline()


async def run_aiokafka(loop: RawLoop) -> None:
    """A bare aiokafka consumer of the same group settings: getmany, count, commit now and then."""
    consumer = AIOKafkaConsumer(
        loop.topic,
        bootstrap_servers=loop.bootstrap_servers,
        group_id=loop.group,
        auto_offset_reset="earliest",
        enable_auto_commit=True,
        auto_commit_interval_ms=round(loop.commit_interval_s * 1000),
        session_timeout_ms=round(loop.session_timeout_s * 1000),
        heartbeat_interval_ms=round(loop.heartbeat_s * 1000),
        fetch_max_wait_ms=loop.fetch_wait_ms,
    )
    await consumer.start()
    try:
        while len(consumer.assignment()) < loop.partitions:
            await asyncio.sleep(0.02)
        _say(ASSIGNED)
        taken = 0
        while taken < loop.expected:
            batches = await consumer.getmany(timeout_ms=1_000, max_records=5_000)
            taken += sum(len(records) for records in batches.values())
        _say(f"{DONE} {time.monotonic():.6f}")
    finally:
        await consumer.stop()


def _say(line: str) -> None:
    print(line, flush=True)


def main(arguments: list[str]) -> None:
    kind, told = arguments
    loop = msgspec.json.decode(told, type=RawLoop)
    uvloop.install()
    if kind == "faust":
        run_faust(loop)
    else:
        asyncio.run(run_aiokafka(loop))


if __name__ == "__main__":
    main(sys.argv[1:])
