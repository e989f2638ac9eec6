"""A micro-batch takes of every partition in turn, so that one with a long backlog holds nobody up; long work
leaves room for signals and timers."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from faust.types import TP

from streams.agent import Delivery, breathing, micro_batches
from streams.log_reader import LogRecord
from streams.publisher import Record
from streams.transport import Bundle


@dataclass
class Consumer:
    """Counts what was taken of each partition."""

    taken_of: Counter[int] = field(default_factory=Counter)
    handed_over: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.handed_over.set()

    def taken(self, bundle: Bundle) -> None:
        self.taken_of[bundle.partition] += len(bundle.records)


@dataclass
class App:
    consumer: Consumer


@dataclass
class Event:
    message: Bundle
    app: App


class Stream:
    """What has been fetched already, bundle by bundle, and then nothing more."""

    enable_acks = True

    def __init__(self, events: list[Event], *, app: App) -> None:
        self._events = events
        self.app = app
        self.current_event: Any = None

    async def __aiter__(self) -> AsyncIterator[None]:
        for event in self._events:
            self.current_event = event
            yield
        await asyncio.Event().wait()


def bundles(partition: int, *, records: int, app: App, size: int = 64) -> list[Event]:
    made = [LogRecord("clicks", partition, offset, 1, None, b"") for offset in range(records)]
    return [
        Event(
            Bundle(
                TP("clicks", partition),
                records=made[at : at + size],
                covers=range(at, at + size),
                generation_id=1,
            ),
            app,
        )
        for at in range(0, records, size)
    ]


def test_click_behind_another_partitions_backlog_is_in_the_first_batch() -> None:
    consumer = Consumer()
    app = App(consumer)
    waiting = (
        bundles(0, records=6_400, app=app) + bundles(1, records=1, app=app) + bundles(2, records=1, app=app)
    )

    async def all_batches() -> list[list[tuple[int, int]]]:
        batches = micro_batches(Stream(waiting, app=app), batch_max=256)
        found: list[list[tuple[int, int]]] = []
        async for events in batches:
            found.append([r[1:3] for event in events for r in event.message.records])
            if sum(map(len, found)) == 6_402:
                break
        await batches.aclose()  # type: ignore[attr-defined]
        return found

    found = asyncio.run(all_batches())
    assert {(1, 0), (2, 0)} <= set(found[0])
    assert max(map(len, found)) < 256 + 64
    late = [place for batch in found for place in batch if place[0] == 0]
    assert late == [(0, offset) for offset in range(6_400)]
    assert consumer.taken_of == {0: 6_400, 1: 1, 2: 1}


def test_fetch_of_many_partitions_is_one_batch() -> None:
    consumer = Consumer()
    app = App(consumer)
    arriving = (
        bundles(0, records=1, app=app) + bundles(1, records=1, app=app) + bundles(2, records=1, app=app)
    )

    class Handing(Stream):
        """Hands its events over with a pause after each, as the consumer does."""

        async def __aiter__(self) -> AsyncIterator[None]:
            consumer.handed_over.clear()
            for event in self._events:
                self.current_event = event
                yield
                await asyncio.sleep(0.01)
            consumer.handed_over.set()
            await asyncio.Event().wait()

    async def first() -> list[int]:
        batches = micro_batches(Handing(arriving, app=app), batch_max=256)
        try:
            return [event.message.partition for event in await anext(batches)]
        finally:
            await batches.aclose()  # type: ignore[attr-defined]

    assert asyncio.run(first()) == [0, 1, 2]


def test_event_loop_gets_its_turn_between_the_parts_of_long_work() -> None:
    async def run() -> tuple[list[Record], list[int]]:
        turns: list[int] = []
        loop = asyncio.get_running_loop()

        def work() -> Iterator[list[Record]]:
            for number in range(3):
                loop.call_soon(turns.append, number)  # as a signal that comes while the part is worked on
                assert turns == list(range(number))
                yield [Record("adapters", b"%d" % number, None)]

        return await breathing(work()), turns

    made, turns = asyncio.run(run())
    assert [record.key for record in made] == [b"0", b"1", b"2"]
    assert turns == [0, 1, 2]


class SlowPublisher:
    """Sends what it is told once `sent` says so; nothing at all at once."""

    def __init__(self) -> None:
        self.sent = asyncio.Event()
        self.error: Exception | None = None
        self.told: list[Record] = []

    async def send(self, records: list[Record]) -> None:
        self.told += records
        if records:
            await self.sent.wait()
            if self.error:
                raise self.error


class Crashing:
    """Notes what crashed it."""

    should_stop = False

    def __init__(self) -> None:
        self.errors: list[Exception] = []

    async def crash(self, error: Exception) -> None:
        self.errors.append(error)


class Acked:
    """An event that notes its ack."""

    def __init__(self, name: str, acked: list[str]) -> None:
        self._name, self._acked = name, acked

    def ack(self) -> None:
        self._acked.append(self._name)


@pytest.mark.parametrize("fails", [False, True])
def test_batch_is_acked_after_those_before_it_or_not_at_all(fails: bool) -> None:
    async def run() -> tuple[list[str], list[str], list[Exception]]:
        acked: list[str] = []
        publisher, app = SlowPublisher(), Crashing()
        publisher.error = RuntimeError("the broker said no") if fails else None
        delivery = Delivery(app, publisher)  # type: ignore[arg-type]
        await delivery.deliver([Record("recommendations", b"ann", b"")], [Acked("slow", acked)])
        await delivery.deliver([], [Acked("quick", acked)])
        await asyncio.sleep(0.01)
        before = list(acked)
        publisher.sent.set()
        await asyncio.sleep(0.01)
        return before, acked, app.errors

    before, after, errors = asyncio.run(run())
    assert before == []
    assert after == ([] if fails else ["slow", "quick"])
    assert len(errors) == fails


def test_what_is_not_delivered_as_the_app_stops_is_neither_acked_nor_a_crash() -> None:
    async def run() -> tuple[list[str], list[Exception]]:
        acked: list[str] = []
        publisher, app = SlowPublisher(), Crashing()
        publisher.error = RuntimeError("the publisher was stopped")
        delivery = Delivery(app, publisher)  # type: ignore[arg-type]
        await delivery.deliver([Record("recommendations", b"ann", b"")], [Acked("late", acked)])
        app.should_stop = True
        publisher.sent.set()
        await asyncio.sleep(0.01)
        return acked, app.errors

    assert asyncio.run(run()) == ([], [])


def test_slates_are_with_the_publisher_before_the_next_batch_is_worked_on() -> None:
    slate = Record("recommendations", b"ann", b"")

    async def told() -> list[Record]:
        publisher = SlowPublisher()
        delivery = Delivery(Crashing(), publisher)  # type: ignore[arg-type]
        await delivery.deliver([slate], [])
        return list(publisher.told)

    assert asyncio.run(told()) == [slate]
