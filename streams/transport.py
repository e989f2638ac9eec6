"""Faust's Kafka transport with what it hard-codes made right: the fetch wait, the assignor, the start offsets,
and the cost of a message.

Faust asks brokers to hold a fetch for 1.5 s; a broker that answers a held fetch late (the embedded one) then
adds that to every click. And its round-robin assignor may give partition 3 of `clicks` and partition 3 of
`purchases` to different workers; a user's events must meet in one worker, so partitions are assigned by range,
which is the same for topics of the same partition count. A learner restored from a snapshot must read on from
the offsets in it, whatever its group has committed. All go through private parts of aiokafka 0.14.0 and
Faust 0.15.3, which pyproject.toml therefore pins exactly.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import aiokafka
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport
from faust.types import TP

_YIELD_EVERY = 100  # messages between two chances for everything else on the event loop


class RangeConsumerThread(AIOKafkaConsumerThread):
    """Faust's consumer thread: fetches with the transport's wait, assigns by range, starts where it is told."""

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        if transport.fetch_wait_ms is not None:
            consumer._fetch_max_wait_ms = transport.fetch_wait_ms
        self._assignor = RangePartitionAssignor
        consumer._partition_assignment_strategy = (RangePartitionAssignor,)
        return consumer

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Faust calls this after every assignment; a worker with offsets of its own starts at those instead."""
        positions = dict(await super().seek_to_committed())
        own = cast(HeadwaterTransport, self.transport).start_offsets
        if own is not None:
            consumer = self._ensure_consumer()
            for partition in consumer.assignment():
                offset = own.get((partition.topic, partition.partition), 0)
                await self.call_thread(self._seek, partition, offset)
                positions[partition] = offset
        return positions

    async def _seek(self, partition: TP, offset: int) -> None:
        self._ensure_consumer().seek(partition, offset)


class RangeConsumer(Consumer):
    """Faust's consumer on a `RangeConsumerThread`."""

    def _new_consumer_thread(self) -> RangeConsumerThread:
        return RangeConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def _drain_messages(self, fetcher: Any) -> None:
        """Hand fetched messages to the agents' streams until stopped.

        Faust races every message against a rebalance with four asyncio tasks, most of its cost. Here a message
        is handed over directly, and what was fetched before a rebalance is dropped at the next message: its
        offset does not count as read, and Faust seeks back to what was acked after every assignment.
        """
        read = self._read_offset
        handed = 0
        while not (self.should_stop or fetcher.should_stop):
            await asyncio.sleep(0)
            async for place, message in self.getmany(timeout=1.0):
                if self.suspend_flow.is_set():
                    break
                last = read[place]
                if last is not None and message.offset < last:
                    continue
                if last and message.offset - last > 1 and self.app.topics.acks_enabled_for(message.topic):
                    await self._add_gap(place, last + 1, message.offset)
                await self.callback(message)
                read[place] = message.offset
                handed += 1
                if handed % _YIELD_EVERY == 0:
                    await asyncio.sleep(0)


class HeadwaterTransport(Transport):
    """`faust.App(...).transport = HeadwaterTransport(url, app, fetch_wait_ms=20)`."""

    Consumer = RangeConsumer

    def __init__(
        self,
        url: Any,
        app: Any,
        *,
        fetch_wait_ms: int | None,
        start_offsets: Mapping[tuple[str, int], int] | None = None,
    ) -> None:
        super().__init__(url, app)
        self.fetch_wait_ms = fetch_wait_ms
        self.start_offsets = start_offsets
