"""Fetches name what changed, on real brokers; and whatever happens to a session, every record is read once."""

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.protocol.fetch import FetchRequest, FetchRequest_v4, FetchRequest_v11

from events.topics import Topic
from streams import topics
from streams.fetch_sessions import FetchSessions
from streams.settings import KafkaSettings, Settings
from streams.topics import topic_name
from tests.servers import KAFKA, Broker
from tests.storefront import Storefront, view

_READ_S = 20.0


class Watched:
    """A client's `send` that keeps what a fetch would look like on the wire."""

    def __init__(self, send: Callable[..., Awaitable[Any]]) -> None:
        self._send = send
        self.built: list[Any] = []
        self.sessions: list[int] = []

    async def send(self, node_id: int, request: Any, **options: Any) -> Any:
        if not isinstance(request, FetchRequest):
            return await self._send(node_id, request, **options)
        self.built.append(request.build(FetchRequest_v11))
        answer = await self._send(node_id, request, **options)
        self.sessions.append(getattr(answer, "session_id", 0))
        return answer


def named(built: Any) -> set[tuple[str, int]]:
    return {(topic, partition) for topic, partitions in built.topics for partition, *_ in partitions}


class Reading:
    """A consumer of every partition of two topics, through sessions."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self.consumer = consumer
        self.watched = Watched(consumer._client.send)
        self.sessions = FetchSessions(self.watched.send)
        consumer._client.send = self.sessions.send
        self.values: list[tuple[str, int, int]] = []

    async def until(self, count: int) -> None:
        async with asyncio.timeout(_READ_S):
            while len(self.values) < count:
                for found in (await self.consumer.getmany(timeout_ms=50)).values():
                    self.values += [(record.topic, record.partition, record.offset) for record in found]


def reading(
    kafka: KafkaSettings, *, then: Callable[[Reading, Storefront, list[TopicPartition]], Awaitable[None]]
) -> Reading:
    topics.ensure(kafka)
    shop = Storefront(Settings(kafka=kafka))
    places = [
        TopicPartition(topic_name(topic, kafka=kafka), partition)
        for topic in (Topic.CLICKS, Topic.PURCHASES)
        for partition in range(kafka.partitions)
    ]

    async def run() -> Reading:
        consumer = AIOKafkaConsumer(
            bootstrap_servers=kafka.bootstrap_servers, auto_offset_reset="earliest", fetch_max_wait_ms=50
        )
        await consumer.start()
        try:
            consumer.assign(places)
            read = Reading(consumer)
            await then(read, shop, places)
            return read
        finally:
            await consumer.stop()

    return asyncio.run(run())


def sent(shop: Storefront, *, start: int, count: int) -> None:
    numbers = range(start, start + count)
    shop.send([view(f"user-{number}", f"item-{number}", number=number) for number in numbers])


def test_every_record_is_read_once_and_an_idle_partition_is_named_once(
    kafka: KafkaSettings, broker: Broker
) -> None:
    async def steps(read: Reading, shop: Storefront, _places: list[TopicPartition]) -> None:
        for round_ in range(4):
            await asyncio.to_thread(sent, shop, start=10 * round_, count=10)
            await read.until(10 * (round_ + 1))

    read = reading(kafka, then=steps)
    assert len(read.values) == len(set(read.values)) == 40
    whole = 2 * kafka.partitions
    assert len(named(read.watched.built[0])) == whole
    if broker.kind == KAFKA:
        assert all(read.watched.sessions)
        busy = {(topic, partition) for topic, partition, _ in read.values}
        later = [named(built) for built in read.watched.built[1:]]
        assert max(map(len, later)) <= len(busy) < whole
        assert set.union(*later) <= busy
        epochs = [built.session_epoch for built in read.watched.built]
        assert epochs == list(range(len(epochs)))
    else:
        assert all(len(named(built)) == whole for built in read.watched.built)


def test_a_session_that_the_broker_forgot_is_begun_anew(kafka: KafkaSettings) -> None:
    async def steps(read: Reading, shop: Storefront, _places: list[TopicPartition]) -> None:
        await asyncio.to_thread(sent, shop, start=0, count=10)
        await read.until(10)
        for session in read.sessions._sessions.values():
            session.id += 7
        await asyncio.to_thread(sent, shop, start=10, count=10)
        await read.until(20)

    read = reading(kafka, then=steps)
    assert len(read.values) == len(set(read.values)) == 20


def test_partitions_that_pause_go_on_and_that_are_read_again_are_found(
    kafka: KafkaSettings, broker: Broker
) -> None:
    async def steps(read: Reading, shop: Storefront, places: list[TopicPartition]) -> None:
        await asyncio.to_thread(sent, shop, start=0, count=20)
        await read.until(20)
        read.consumer.pause(*places[:3])
        await asyncio.sleep(0.3)
        read.consumer.resume(*places[:3])
        await asyncio.to_thread(sent, shop, start=20, count=20)
        await read.until(40)
        await read.consumer.seek_to_beginning(*places)
        await read.until(80)

    read = reading(kafka, then=steps)
    assert set(read.values[:40]) == set(read.values[40:80])
    assert len(set(read.values)) == 40
    if broker.kind == KAFKA:
        assert any(built.forgotten_topics_data for built in read.watched.built)


class Script:
    """Answers of a broker in a session, one after the other."""

    def __init__(self, *answers: Any) -> None:
        self._answers = list(answers)
        self.built: list[Any] = []

    async def send(self, _node_id: int, request: Any, **_options: Any) -> Any:
        self.built.append(request.build(FetchRequest_v11))
        answer = self._answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer


def answered(*, session: int = 5, error: int = 0) -> SimpleNamespace:
    return SimpleNamespace(API_VERSION=11, error_code=error, session_id=session, topics=[])


def fetch(**offsets: int) -> FetchRequest:
    return FetchRequest(50, 1, 1_000, 0, [(name, [(0, offset, 100)]) for name, offset in offsets.items()])


def told(script: Script, *requests: FetchRequest) -> list[tuple[int, int, set[str], list[str]]]:
    """Of each fetch on the wire: session, epoch, topics named, topics forgotten."""
    sessions = FetchSessions(script.send)

    async def run() -> None:
        for request in requests:
            try:
                await sessions.send(1, request)
            except ConnectionError:
                continue

    asyncio.run(run())
    return [
        (
            built.session_id,
            built.session_epoch,
            {topic for topic, _ in built.topics},
            [topic for topic, _ in built.forgotten_topics_data],
        )
        for built in script.built
    ]


def test_a_session_names_what_changed_and_what_is_gone() -> None:
    script = Script(answered(), answered(), answered())
    assert told(script, fetch(a=0, b=0), fetch(a=3, b=0), fetch(a=3)) == [
        (0, 0, {"a", "b"}, []),
        (5, 1, {"a"}, []),
        (5, 2, set(), ["b"]),
    ]


@pytest.mark.parametrize("error", [70, 71])
def test_a_lost_session_is_asked_anew_at_once(error: int) -> None:
    script = Script(answered(), answered(session=0, error=error), answered(session=6), answered(session=6))
    assert told(script, fetch(a=0, b=0), fetch(a=3, b=0), fetch(a=3, b=1)) == [
        (0, 0, {"a", "b"}, []),
        (5, 1, {"a"}, []),
        (0, 0, {"a", "b"}, []),
        (6, 1, {"b"}, []),
    ]


def test_after_a_failure_everything_is_named() -> None:
    script = Script(answered(), ConnectionError(), answered())
    assert told(script, fetch(a=0, b=0), fetch(a=3, b=0), fetch(a=3, b=0))[2] == (0, 0, {"a", "b"}, [])


def test_a_broker_without_sessions_is_asked_for_everything() -> None:
    script = Script(answered(session=0), answered(session=0))
    assert told(script, fetch(a=0, b=0), fetch(a=3, b=0))[1] == (0, 0, {"a", "b"}, [])
    old = Script(SimpleNamespace(API_VERSION=4, topics=[]), SimpleNamespace(API_VERSION=4, topics=[]))
    assert told(old, fetch(a=0), fetch(a=3))[1] == (0, 0, {"a"}, [])


def test_an_old_version_of_the_request_is_the_whole_one() -> None:
    whole = fetch(a=0, b=0).build(FetchRequest_v4)
    built: list[Any] = []

    async def send(_node_id: int, request: Any) -> Any:
        built.append(request.build(FetchRequest_v4))
        return SimpleNamespace(API_VERSION=4, topics=[])

    asyncio.run(FetchSessions(send).send(1, fetch(a=0, b=0)))
    assert built == [whole]
