"""Faust's consumer as we need it: on a real broker, with our fetch wait, assignor and start offsets."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.protocol.fetch import FetchRequest
from faust.types import TP

from events.topics import Topic
from streams import topics
from streams.agent import micro_batches
from streams.faust_app import AppConfig, make_app
from streams.log_reader import LogRecord
from streams.settings import KafkaSettings, Settings
from streams.topics import topic_name
from streams.transport import paced
from streams.working import Working
from tests.storefront import Storefront, purchase, view

Until = Callable[[], bool]


@pytest.fixture
def shop(kafka: KafkaSettings) -> Storefront:
    topics.ensure(kafka)
    return Storefront(Settings(kafka=kafka))


class Reader:
    """An app that notes what it is given."""

    def __init__(
        self,
        shop: Storefront,
        *,
        folder: Path,
        start: dict[tuple[str, int], int] | None = None,
        commit_interval_s: float = 0.5,
        pause_s: float = 0.0,
    ) -> None:
        kafka = shop.kafka
        config = AppConfig(
            group=f"{kafka.topic_prefix}group",
            bootstrap_servers=kafka.bootstrap_servers,
            data_dir=folder,
            session_timeout_s=kafka.session_timeout_s,
            heartbeat_s=kafka.heartbeat_s,
            commit_interval_s=commit_interval_s,
            fetch_wait_ms=37,
        )
        self.app: Any = make_app(config, start_offsets=start)
        self.records: list[LogRecord] = []
        names = [topic_name(topic, kafka=kafka) for topic in (Topic.CLICKS, Topic.PURCHASES)]

        async def take(stream: Any) -> None:
            async for events in micro_batches(stream, batch_max=100):
                self.records += [record for event in events for record in event.message.records]
                for event in events:
                    event.ack()
                await asyncio.sleep(pause_s)

        self.app.agent(self.app.topic(*names, key_type=bytes, value_type=bytes))(take)

    def partitions(self) -> dict[str, set[int]]:
        owned: dict[str, set[int]] = {}
        for tp in self.app.consumer.assignment() if self.app.started else ():
            owned.setdefault(tp.topic, set()).add(tp.partition)
        return owned


def run(*readers: Reader, until: Until, then: Callable[[], Awaitable[None]] | None = None) -> None:
    """Run the apps in one loop until the condition holds."""

    async def together() -> None:
        for reader in readers:
            reader.app.finalize()
            await reader.app.maybe_start()
        try:
            async with asyncio.timeout(60):
                while not until():
                    await asyncio.sleep(0.02)
                if then is not None:
                    await then()
        finally:
            for reader in readers:
                await reader.app.stop()

    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    for reader in readers:
        reader.app.loop = loop
    try:
        loop.run_until_complete(together())
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def test_fetches_of_a_node_are_spaced_and_nothing_else_is() -> None:
    fetch = FetchRequest(50, 1, 1_000, 0, [])
    every_s = 0.05

    async def run() -> tuple[list[float], list[float], list[float], float]:
        async def send(_node_id: int, _request: Any) -> str:
            return "answered"

        send_paced = paced(send, every_s=every_s, working=Working())

        async def took_s(node_id: int, request: Any) -> float:
            started = time.monotonic()
            assert await send_paced(node_id, request) == "answered"
            return time.monotonic() - started

        one = [await took_s(1, fetch) for _ in range(3)]
        other = [await took_s(2, fetch)]
        rest = [await took_s(1, object()) for _ in range(3)]
        await asyncio.sleep(every_s)
        return one, other, rest, await took_s(1, fetch)

    one, other, rest, after_quiet = asyncio.run(run())
    assert one[0] < every_s / 2 < every_s * 0.9 < min(one[1:])
    assert max(*other, *rest, after_quiet) < every_s / 2


def test_fetch_waits_for_the_work_on_a_batch_and_a_heartbeat_does_not() -> None:
    fetch, working = FetchRequest(50, 1, 1_000, 0, []), Working()
    sent: list[Any] = []

    async def send(_node_id: int, request: Any) -> None:
        sent.append(request)

    async def run() -> None:
        send_paced = paced(send, every_s=0.0, working=working)
        beat = object()
        with working:
            fetching = asyncio.create_task(send_paced(1, fetch))
            await send_paced(1, beat)
            await asyncio.sleep(0.01)
            assert sent == [beat]
        await asyncio.sleep(0.005)
        assert fetching.done()
        assert sent == [beat, fetch]
        with working:  # for ever, to a fetch
            started = time.monotonic()
            await send_paced(1, fetch)
            assert 0.04 < time.monotonic() - started < 1.0

    asyncio.run(run())


def test_everything_is_read_with_our_wait_and_our_assignor(shop: Storefront, tmp_path: Path) -> None:
    sent = shop.send(
        [view(f"u{n}", "i", number=n) for n in range(20)]
        + [purchase(f"u{n}", "i", number=50 + n) for n in range(20)]
    )
    reader = Reader(shop, folder=tmp_path)

    async def look() -> None:
        consumer = reader.app.consumer._thread._ensure_consumer()
        assert consumer._fetch_max_wait_ms == 37
        assert consumer._partition_assignment_strategy == (RangePartitionAssignor,)
        assert [owned == set(range(shop.kafka.partitions)) for owned in reader.partitions().values()] == [
            True
        ] * 2

    run(reader, until=lambda: len(reader.records) >= 40, then=look)
    assert sorted(r[:3] for r in reader.records) == sorted(one.place for one in sent)


def test_look_for_stuck_partitions_passes_over_one_that_has_no_position_yet(
    shop: Storefront, tmp_path: Path
) -> None:
    shop.send([view("ann", "i", number=n) for n in range(4)])
    reader = Reader(shop, folder=tmp_path)

    async def look() -> None:
        consumer = reader.app.consumer
        assignment = consumer._thread._ensure_consumer()._subscription.subscription.assignment
        (fresh, *_) = consumer.assignment()
        assignment.state_value(fresh)._position = None  # as right after a rebalance
        await consumer.verify_all_partitions_active()
        consumer.verify_event_path(time.monotonic(), TP("gone", 0))

    run(reader, until=lambda: len(reader.records) >= 4, then=look)


def test_start_offsets_win_over_what_the_group_has_committed(shop: Storefront, tmp_path: Path) -> None:
    sent = shop.send([view("ann", "i", number=n) for n in range(10)])
    first = Reader(shop, folder=tmp_path)
    run(first, until=lambda: len(first.records) >= 10)
    place = sent[0].place
    second = Reader(shop, folder=tmp_path, start={(place.topic, place.partition): 4})
    run(second, until=lambda: len(second.records) >= 6)
    assert [r.offset for r in second.records] == [4, 5, 6, 7, 8, 9]


def test_what_was_dropped_before_the_first_commit_is_read_again(shop: Storefront, tmp_path: Path) -> None:
    # Faust drops what it fetched during a rebalance and seeks to what the group has committed: nothing yet, here.
    sent = shop.send([view(f"u{n}", "i", number=n) for n in range(20)])
    reader = Reader(shop, folder=tmp_path, commit_interval_s=60)

    async def drop() -> None:
        await reader.app.consumer.perform_seek()
        async with asyncio.timeout(20):
            while len(reader.records) < 40:
                await asyncio.sleep(0.02)

    run(reader, until=lambda: len(reader.records) >= 20, then=drop)
    assert sorted(r[:3] for r in reader.records) == sorted([one.place for one in sent] * 2)


def test_two_workers_own_the_same_partitions_of_every_topic(shop: Storefront, tmp_path: Path) -> None:
    one, two = Reader(shop, folder=tmp_path), Reader(shop, folder=tmp_path)
    every = set(range(shop.kafka.partitions))
    names = {topic_name(topic, kafka=shop.kafka) for topic in (Topic.CLICKS, Topic.PURCHASES)}

    def shared() -> bool:
        first, second = one.partitions(), two.partitions()
        return first.keys() == second.keys() == names and all(
            first[name] | second[name] == every and not first[name] & second[name] for name in names
        )

    async def look() -> None:
        for reader in (one, two):
            clicks, purchases = reader.partitions().values()
            assert clicks == purchases

    run(one, two, until=shared, then=look)


def test_app_is_made_to_lose_nothing(shop: Storefront, tmp_path: Path) -> None:
    conf = Reader(shop, folder=tmp_path).app.conf
    assert conf.agent_supervisor.__name__ == "CrashingSupervisor"
    assert conf.consumer_auto_offset_reset == "earliest"
    assert conf.topic_allow_declare is False


def test_backlog_of_one_partition_is_read_to_its_end_a_bounded_piece_at_a_time(
    shop: Storefront, tmp_path: Path
) -> None:
    backlog = shop.send_raw((Topic.CLICKS, b"ann", b"x") for _ in range(20_000))
    others = shop.send_raw((Topic.PURCHASES, f"u{n}".encode(), b"x") for n in range(50))
    reader = Reader(shop, folder=tmp_path, pause_s=0.01)  # slower than what is fetched
    held: list[int] = []

    def read() -> bool:
        held.append(max(reader.app.consumer._held.values(), default=0) if reader.app.started else 0)
        return len(reader.records) >= 20_050

    run(reader, until=read)
    assert sorted(r[:3] for r in reader.records) == sorted([*backlog, *others])
    assert 4_096 <= max(held) <= 4_096 + 5_000  # what may wait, and one fetch more


@pytest.mark.parametrize("session_timeout_s", [2.0, 6.0, 45.0])
def test_broker_answers_a_request_to_join_before_the_worker_gives_it_up(
    session_timeout_s: float, tmp_path: Path
) -> None:
    config = AppConfig(
        group="g", bootstrap_servers="127.0.0.1:1", data_dir=tmp_path, session_timeout_s=session_timeout_s
    )
    conf: Any = make_app(config).conf
    assert session_timeout_s < conf.broker_rebalance_timeout < conf.broker_request_timeout
