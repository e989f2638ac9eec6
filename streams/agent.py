"""A Faust agent around a pure step: takes micro-batches, publishes what they made, and only then acks them."""

import asyncio
import os
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import faust

from streams.log_reader import LogRecord
from streams.metrics import Metrics
from streams.publisher import Publisher, Record

Step = Callable[[list[LogRecord]], Awaitable[list[Record]]]
STOP_TIMEOUT_S = 10.0
_LOOK_S = 0.2
_IN_FLIGHT = 4  # batches whose records are on their way to the broker


class Delivery:
    """Publishes the records of a batch while the next one is worked on, and acks the batch once they are there.

    Any failure crashes the app: nothing of the batch is acked, so the next start takes it again.
    """

    def __init__(self, app: faust.App, publisher: Publisher) -> None:
        self._app = app
        self._publisher = publisher
        self._slots = asyncio.Semaphore(_IN_FLIGHT)
        self._under_way: set[asyncio.Task[None]] = set()

    async def deliver(self, records: Sequence[Record], events: Sequence[Any]) -> None:
        """Return once there is room for the next batch."""
        await self._slots.acquire()
        task = asyncio.create_task(self._publish(records, events))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _publish(self, records: Sequence[Record], events: Sequence[Any]) -> None:
        try:
            await self._publisher.send(records)
            for event in events:
                event.ack()
        except Exception as error:
            await self._app.crash(error)
        finally:
            self._slots.release()


def attach(
    app: faust.App,
    *,
    topics: Sequence[str],
    batch_max: int,
    within_s: float,
    step: Step,
    publisher: Publisher,
) -> None:
    """Give `app` the one agent that it has: `step` on micro-batches of `topics`, in order within a partition."""

    async def take(stream: Any) -> None:
        delivery = Delivery(app, publisher)
        async for events in stream.noack_take(batch_max, within=within_s):
            await delivery.deliver(await step([log_record(event.message) for event in events]), events)

    app.agent(app.topic(*topics, key_type=bytes, value_type=bytes), name="headwater")(take)


def ready_when_assigned(app: faust.App, metrics: Metrics) -> None:
    """Show the worker as ready once it has partitions."""

    async def assigned(*arguments: Any, **_: Any) -> None:
        metrics.ready.set(bool(arguments[1]))

    app.on_partitions_assigned.connect(assigned, weak=False)


def log_record(message: Any) -> LogRecord:
    """Faust's message as every other reader has it."""
    headers = message.headers or ()
    return LogRecord(
        message.topic,
        message.partition,
        message.offset,
        round(message.timestamp * 1000),
        message.key,
        message.value,
        tuple(headers.items() if isinstance(headers, dict) else headers),
    )


def crash_of(app: faust.App) -> Callable[[BaseException], None]:
    """What a reader's thread calls to crash the app; the process then ends and is started again."""

    def crash(error: BaseException) -> None:
        asyncio.run_coroutine_threadsafe(app.crash(error), app.loop)

    return crash


def run(app: faust.App) -> None:
    """Run the app until SIGTERM or SIGINT; raises what crashed it.

    Once it is to stop, or has crashed, work in flight is finished for at most `STOP_TIMEOUT_S`; then the process
    ends as a kill would end it. Faust alone would wait for a broker that is gone for ever.
    """
    worker = faust.Worker(app, quiet=True, loglevel="WARNING", override_logging=False, redirect_stdouts=False)
    worker.spinner = None  # it would write escape codes into the logs
    threading.Thread(target=_end_after, args=(app,), name="patience", daemon=True).start()
    worker.execute_from_commandline()


def _end_after(app: faust.App) -> None:
    while not app.should_stop:
        time.sleep(_LOOK_S)
    time.sleep(STOP_TIMEOUT_S)
    os._exit(1)
