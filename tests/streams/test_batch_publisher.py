import asyncio
import os
import signal
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic
from typing import Any, cast

import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection
from aiokafka.protocol.produce import ProduceRequest

from events.topics import Topic
from streams import topics
from streams.agent import Delivery
from streams.batch_publisher import BatchPublisher
from streams.bounded_read import read_to_end
from streams.embedded import EmbeddedBroker
from streams.errors import PublishError
from streams.publisher import Publisher, Record
from streams.settings import KafkaSettings
from tests.servers import EMBEDDED, Broker

_BROKERS_LIMIT = 1_048_588  # Apache Kafka's own for a batch


class Others:
    """Notes what it is given."""

    def __init__(self) -> None:
        self.given: list[Record] = []

    async def send(self, records: Sequence[Record], /) -> None:
        self.given += records


def _topic(kafka: KafkaSettings) -> str:
    topics.ensure(kafka)
    return topics.topic_name(Topic.RECOMMENDATIONS, kafka=kafka)


def _run(
    kafka: KafkaSettings,
    work: Callable[[BatchPublisher], Awaitable[None]],
    *,
    patience_s: float = 20.0,
    **options: Any,
) -> Others:
    async def run() -> Others:
        others = Others()
        publisher = BatchPublisher({**kafka.aiokafka(), **options}, others=others, patience_s=patience_s)
        try:
            await work(publisher)
        finally:
            await publisher.stop()
        return others

    return asyncio.run(run())


def test_all_partitions_of_a_batch_go_to_the_broker_in_one_request(
    kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = _topic(kafka)
    asked: Counter[type] = Counter()
    send = AIOKafkaClient.send

    async def counted(self: Any, node_id: int, request: Any, **options: Any) -> Any:
        asked[type(request)] += 1
        return await send(self, node_id, request, **options)

    monkeypatch.setattr(AIOKafkaClient, "send", counted)
    records = [
        Record(topic, f"u{n}".encode(), b"%d" % n, n % kafka.partitions, (("h", b"%d" % n),))
        for n in range(50)
    ]

    async def work(publisher: BatchPublisher) -> None:
        await publisher.send(records)
        found = await asyncio.to_thread(lambda: list(read_to_end(kafka, topics=[topic])))
        assert len(found) == 50  # there when send returns

    _run(kafka, work)
    assert asked[ProduceRequest] == 1
    found = sorted(read_to_end(kafka, topics=[topic]), key=lambda r: (r.partition, r.offset))
    sent = sorted(records, key=lambda r: (r.partition, int(r.value or b"")))
    assert [(r.partition, r.key, r.value, tuple(r.headers)) for r in found] == [
        (r.partition, r.key, r.value, r.headers) for r in sent
    ]


def test_a_batch_is_on_the_socket_before_the_next_is_worked_on(
    kafka: KafkaSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = _topic(kafka)
    asked: list[type] = []
    send = AIOKafkaConnection.send

    def noted(self: Any, request: Any, **options: Any) -> Any:
        asked.append(type(request))
        return send(self, request, **options)

    monkeypatch.setattr(AIOKafkaConnection, "send", noted)

    async def work(publisher: BatchPublisher) -> None:
        await publisher.send([Record(topic, b"ann", b"first", 0)])  # connects
        asked.clear()
        delivery = Delivery(cast(Any, None), publisher)
        await delivery.deliver([Record(topic, b"ann", b"slate", n) for n in range(kafka.partitions)], [])
        assert ProduceRequest in asked

    _run(kafka, work)
    assert len(list(read_to_end(kafka, topics=[topic]))) == 1 + kafka.partitions


def test_records_that_name_no_partition_are_anothers_to_send(kafka: KafkaSettings) -> None:
    topic = _topic(kafka)
    letter = Record("dead-letters", b"ann", b"?", headers=(("hw-reason", b"json"),))

    others = _run(kafka, lambda publisher: publisher.send([letter, Record(topic, b"ann", None, 1)]))
    assert others.given == [letter]
    [found] = read_to_end(kafka, topics=[topic])
    assert (found.partition, found.key, found.value) == (1, b"ann", None)


def test_batches_sent_at_once_keep_the_order_of_a_partition(kafka: KafkaSettings) -> None:
    topic = _topic(kafka)

    async def work(publisher: BatchPublisher) -> None:
        tasks = []
        for batch in range(40):
            tasks.append(
                asyncio.create_task(
                    publisher.send(
                        [Record(topic, b"ann", b"%d" % (10 * batch + n), n % 2) for n in range(10)]
                    )
                )
            )
            await asyncio.sleep(0)
        await asyncio.gather(*tasks)

    _run(kafka, work)
    for partition in (0, 1):
        found = [int(r.value or b"") for r in read_to_end(kafka, topics=[topic]) if r.partition == partition]
        assert found == sorted(found)
        assert len(found) == 200


def test_more_than_a_broker_takes_at_once_goes_in_parts(kafka: KafkaSettings) -> None:
    topic = _topic(kafka)
    records = [Record(topic, b"ann", b"%d " % n + bytes(40_000), 1) for n in range(100)]
    assert sum(len(record.value or b"") for record in records) > 3 * _BROKERS_LIMIT
    _run(kafka, lambda publisher: publisher.send(records))
    found = [int((r.value or b"").split()[0]) for r in read_to_end(kafka, topics=[topic])]
    assert found == list(range(100))


def test_record_that_is_too_large_for_the_broker_is_an_error_and_the_rest_arrives(
    broker: Broker, kafka: KafkaSettings
) -> None:
    if broker.kind == EMBEDDED:
        pytest.skip("the embedded broker takes records of any size")
    topic = _topic(kafka)
    huge = Record(topic, b"ann", bytes(3 * _BROKERS_LIMIT), 0)
    with pytest.raises(PublishError, match=f"{topic}.*Large"):
        _run(kafka, lambda publisher: publisher.send([huge, Record(topic, b"bob", b"fine", 1)]))
    assert [r.value for r in read_to_end(kafka, topics=[topic])] == [b"fine"]


def test_broker_that_is_away_is_told_of_waited_for_and_then_given_up(
    free_port: int, caplog: pytest.LogCaptureFixture
) -> None:
    kafka = KafkaSettings(bootstrap_servers=f"127.0.0.1:{free_port}")
    started_s = monotonic()
    with pytest.raises(PublishError, match="recommendations"):
        _run(
            kafka,
            lambda publisher: publisher.send([Record("recommendations", b"ann", b"", 0)]),
            patience_s=1.0,
        )
    assert 1.0 < monotonic() - started_s < 10.0
    told = [record.getMessage() for record in caplog.records if record.name == "headwater.publisher"]
    assert len(told) == 1
    assert "records for recommendations wait" in told[0]


def test_broker_that_hangs_longer_than_a_request_may_take_gets_the_records_afterwards() -> None:
    with EmbeddedBroker() as broker:
        kafka = KafkaSettings(bootstrap_servers=broker.bootstrap_servers)
        topic = _topic(kafka)

        async def work(publisher: BatchPublisher) -> None:
            await publisher.send([Record(topic, b"ann", b"before", 0)])
            os.kill(broker.child.pid, signal.SIGSTOP)
            sending = asyncio.create_task(
                publisher.send([Record(topic, b"ann", b"after", n) for n in (0, 1)])
            )
            try:
                await asyncio.sleep(2.5)
                assert not sending.done()
            finally:
                os.kill(broker.child.pid, signal.SIGCONT)
            await sending

        _run(kafka, work, request_timeout_ms=1_000)
        found = {(r.partition, r.value) for r in read_to_end(kafka, topics=[topic])}
        assert found == {(0, b"before"), (0, b"after"), (1, b"after")}


def test_nothing_is_sent_once_it_was_stopped(kafka: KafkaSettings) -> None:
    topic = _topic(kafka)

    async def work(publisher: BatchPublisher) -> None:
        await publisher.send([Record(topic, b"ann", b"before", 0)])
        await publisher.stop()
        with pytest.raises(PublishError, match="Closed"):
            await publisher.send([Record(topic, b"ann", b"after", 0)])

    _run(kafka, work)
    assert [r.value for r in read_to_end(kafka, topics=[topic])] == [b"before"]


def test_librdkafka_sends_what_has_no_partition(kafka: KafkaSettings) -> None:
    topic = _topic(kafka)

    async def run() -> None:
        with Publisher(kafka.confluent()) as letters:
            publisher = BatchPublisher(kafka.aiokafka(), others=letters)
            await publisher.send([Record(topic, b"ann", b"slate", 1), Record(topic, b"bob", b"letter")])
            await publisher.stop()

    asyncio.run(run())
    assert sorted(r.value or b"" for r in read_to_end(kafka, topics=[topic])) == [b"letter", b"slate"]
