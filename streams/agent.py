"""A Faust agent around a pure step: takes micro-batches, publishes what they made, and only then acks them."""

import asyncio
import os
import threading
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import Any, cast

import faust

from streams.log_reader import LogRecord
from streams.metrics import Metrics
from streams.publisher import Record, Sender
from streams.transport import HeadwaterTransport

Step = Callable[[list[LogRecord]], Awaitable[list[Record]]]
STOP_TIMEOUT_S = 10.0
_LOOK_S = 0.2
_IN_FLIGHT = 4  # batches whose records are on their way to the broker
_TURNS = 7  # of the event loop, until records that are sent lie on the broker's socket


async def breathing(parts: Iterable[list[Record]]) -> list[Record]:
    """All of the parts; the event loop gets its turn after each, so that a signal or a timer never waits for all."""
    whole: list[Record] = []
    for part in parts:
        whole += part
        await asyncio.sleep(0)
    return whole


class Delivery:
    """Publishes the records of a batch while the next one is worked on, and acks the batch once they are there and
    all batches before it are acked: Faust commits past a gap of one record, and before a partition's first commit
    past any.

    Any failure crashes the app: nothing of the batch or of those after it is acked, so the next start takes them
    again.
    """

    def __init__(self, app: faust.App, publisher: Sender) -> None:
        self._app = app
        self._publisher = publisher
        self._slots = asyncio.Semaphore(_IN_FLIGHT)
        self._under_way: set[asyncio.Task[bool]] = set()
        self._last: asyncio.Task[bool] | None = None

    async def deliver(self, records: Sequence[Record], events: Sequence[Any]) -> None:
        """Return once the records are with the publisher and there is room for the next batch."""
        await self._slots.acquire()
        task = self._last = asyncio.create_task(self._publish(records, events, before=self._last))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        for _ in range(_TURNS):  # a batch that waits already would be worked on first
            await asyncio.sleep(0)

    async def _publish(
        self, records: Sequence[Record], events: Sequence[Any], *, before: asyncio.Task[bool] | None
    ) -> bool:
        """Whether the batch was acked."""
        try:
            await self._publisher.send(records)
            if before is not None and not await before:
                return False
            for event in events:
                event.ack()
            return True
        except Exception as error:
            if not self._app.should_stop:  # who comes next takes the batch again either way
                await self._app.crash(error)
            return False
        finally:
            self._slots.release()


def attach(
    app: faust.App,
    *,
    topics: Sequence[str],
    batch_max: int,
    step: Step,
    publisher: Sender,
) -> None:
    """Give `app` the one agent that it has: `step` on micro-batches of `topics`, in order within a partition.

    A micro-batch is what one fetch brought, and all that came while the one before was worked on: one record in
    quiet times, up to about `batch_max` in busy ones.
    """

    async def take(stream: Any) -> None:
        delivery = Delivery(app, publisher)
        working = cast(HeadwaterTransport, app.transport).working
        async for events in micro_batches(stream, batch_max=batch_max):
            records = [record for event in events for record in event.message.records]
            with working:
                made = await step(records)
            await delivery.deliver(made, events)

    app.agent(app.topic(*topics, key_type=bytes, value_type=bytes), name="headwater")(take)


async def micro_batches(stream: Any, *, batch_max: int) -> AsyncIterator[list[Any]]:
    """The stream's events, not acked, in lists of what came since the one before was asked for, fetches whole:
    `batch_max` records, at most one bundle more, of every partition in turn."""
    arrived = _Arrived(batch_max)

    async def gather() -> None:
        stream.enable_acks = False
        async for _ in stream:
            arrived.add(stream.current_event)

    gathering = asyncio.create_task(gather())
    gathering.add_done_callback(lambda _task: arrived.changed.set())
    try:
        while not gathering.done():
            await arrived.changed.wait()
            await stream.app.consumer.handed_over.wait()  # a fetch is a batch, not one for each partition
            if events := arrived.take():
                for event in events:
                    event.app.consumer.taken(event.message)
                yield events
        gathering.result()  # raises what ended it
    finally:
        gathering.cancel()


class _Arrived:
    """Events that nobody has taken yet. `take` goes round the partitions, so that the backlog of one does not
    make the others wait; how much of a partition may lie here is the consumer's to see to."""

    def __init__(self, limit: int) -> None:
        self.changed = asyncio.Event()  # something came, or nothing will any more
        self._limit = limit
        self._queues: OrderedDict[int, deque[Any]] = OrderedDict()  # by partition, whose turn it is first

    def add(self, event: Any) -> None:
        self._queues.setdefault(event.message.partition, deque()).append(event)
        self.changed.set()

    def take(self) -> list[Any]:
        """Some events of every partition, `limit` records or a bundle more; none when there are none."""
        taken: list[Any] = []
        records = 0
        while self._queues and records < self._limit:
            partition, queue = self._queues.popitem(last=False)
            event = queue.popleft()
            taken.append(event)
            records += len(event.message.records)
            if queue:
                self._queues[partition] = queue
        if not self._queues:
            self.changed.clear()
        return taken


def ready_when_assigned(app: faust.App, metrics: Metrics) -> None:
    """Show the worker as ready once it has partitions."""

    async def assigned(*arguments: Any, **_: Any) -> None:
        metrics.ready.set(bool(arguments[1]))

    app.on_partitions_assigned.connect(assigned, weak=False)


def before_shutdown(app: faust.App, stop: Callable[[], Awaitable[None]]) -> None:
    """Call `stop` once the app is to stop, while its event loop still runs."""

    async def stopping(*_arguments: Any, **_: Any) -> None:
        await stop()

    app.on_before_shutdown.connect(stopping, weak=False)


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
