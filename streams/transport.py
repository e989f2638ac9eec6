"""Faust's Kafka transport with what it hard-codes made right: when it fetches, the assignor, the start offsets,
and the cost of a record.

Faust asks brokers to hold a fetch for 1.5 s; a broker that answers a held fetch late (the embedded one) then
adds that to every click. It fetches again as soon as it was answered, so that a busy worker is handed clicks by
ones and twos, each of which costs it, the broker and the processor that they share as much as ten; or, while a
batch is worked on, too early for what comes during the work. And its
round-robin assignor may give partition 3 of `clicks` and partition 3 of `purchases` to different workers; a user's
events must meet in one worker, so partitions are assigned by range, which is the same for topics of the same
partition count. A learner restored from a snapshot must read on from the offsets in it, whatever its group has
committed. All go through private parts of aiokafka 0.14.0 and Faust 0.15.3, which pyproject.toml therefore pins
exactly.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from time import monotonic
from typing import Any, cast

import aiokafka
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.protocol.fetch import FetchRequest
from faust.transport.consumer import ensure_TP
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport
from faust.types import TP
from faust.types.tuples import ConsumerMessage, ack_lock

from streams.log_reader import LogRecord
from streams.working import Working

OnPositions = Callable[[Mapping[tuple[str, int], int | None]], None]
"""Told, after every assignment and before its first record, where each partition is read on (next offsets; None
where the group has committed nothing)."""

_BUNDLE_MAX = 64  # records of a bundle
_WORK_MAX_S = 0.05  # that a fetch waits for the batch that is worked on
_FETCH_TIMEOUT_S = 1.0
_HELD_MAX = 4_096  # records of a topic's partition that may wait for the agent before no more are fetched
_FULL_TIMEOUT_S = 0.02  # a look for others' records while a partition is full


class Bundle(ConsumerMessage):
    """Records of one partition, in order, that Faust carries and acks as one message.

    Faust's work is per message. Its `offset` is the last record's; `covers` are all offsets that an ack of it
    acks: those of its records, and those before them that hold no record (compacted away, transaction marks).
    """

    __slots__ = ("covers", "records")

    def __init__(
        self, place: TP, *, records: Sequence[LogRecord], covers: range, generation_id: int | None
    ) -> None:
        last = records[-1]
        super().__init__(
            place.topic,
            place.partition,
            last.offset,
            last.timestamp_ms / 1000,
            0,
            None,
            None,
            b"",  # what Faust would decode; an agent takes `records`
            None,
            tp=place,
            generation_id=generation_id,
        )
        self.records = records
        self.covers = covers


def paced(
    send: Callable[..., Awaitable[Any]], *, every_s: float, working: Working
) -> Callable[..., Awaitable[Any]]:
    """An aiokafka client's `send` that leaves `every_s` seconds between a node's answer to a fetch and the next one,
    and asks for that when no batch is worked on any more.

    What comes meanwhile comes in one answer. After a quiet moment nothing waits, and nothing for longer than
    `_WORK_MAX_S`: work on a backlog takes long, and what comes next is to be there when it ends.
    """
    answered_s: dict[int, float] = {}

    async def send_paced(node_id: int, request: Any, **options: Any) -> Any:
        if not isinstance(request, FetchRequest):
            return await send(node_id, request, **options)
        left_s = answered_s.get(node_id, 0.0) + every_s - monotonic()
        if left_s > 0:
            await asyncio.sleep(left_s)
        await working.over(timeout_s=_WORK_MAX_S)
        try:
            return await send(node_id, request, **options)
        finally:
            answered_s[node_id] = monotonic()

    return send_paced


class RangeConsumerThread(AIOKafkaConsumerThread):
    """Faust's consumer thread: fetches as the transport says, assigns by range, starts where it is told."""

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        if transport.fetch_wait_ms is not None:
            consumer._fetch_max_wait_ms = transport.fetch_wait_ms
            consumer._fetch_min_bytes = transport.fetch_min_bytes
        consumer._client.send = paced(
            consumer._client.send, every_s=transport.fetch_every_ms / 1000, working=transport.working
        )
        self._assignor = RangePartitionAssignor
        consumer._partition_assignment_strategy = (RangePartitionAssignor,)
        return consumer

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Faust calls this after every assignment, and wherever it drops what was fetched, so that it is fetched
        again; a worker with offsets of its own starts at those instead.

        aiokafka leaves a partition where it is when the group has committed nothing of it: what was dropped there
        would never be read. Such a partition is read from its beginning, as a new group's is.
        """
        positions = dict(await super().seek_to_committed())
        consumer = self._ensure_consumer()
        transport = cast(HeadwaterTransport, self.transport)
        own = transport.start_offsets
        if own is None:
            if fresh := [partition for partition, offset in positions.items() if not offset]:
                await self.call_thread(consumer.seek_to_beginning, *fresh)
        else:
            for partition in consumer.assignment():
                offset = own.get((partition.topic, partition.partition), 0)
                await self.call_thread(self._seek, partition, offset)
                positions[partition] = offset
        transport.on_positions({(tp.topic, tp.partition): offset for tp, offset in positions.items()})
        return positions

    def verify_event_path(self, now: float, tp: TP) -> None:
        """Faust's look for partitions that are stuck, on which it crashes while one that was assigned just now has
        no position yet, or has gone again."""
        subscription = self._ensure_consumer()._subscription.subscription
        assignment = subscription.assignment if subscription is not None else None
        state = assignment.state_value(tp) if assignment is not None else None
        if state is not None and state.has_valid_position:
            super().verify_event_path(now, tp)

    async def _seek(self, partition: TP, offset: int) -> None:
        self._ensure_consumer().seek(partition, offset)


class RangeConsumer(Consumer):
    """Faust's consumer on a `RangeConsumerThread`."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.handed_over = asyncio.Event()  # nothing of a fetch is still to come
        self.handed_over.set()
        self._held: Counter[TP] = Counter()  # records handed over and not taken yet
        self._held_generation: Any = None

    def _new_consumer_thread(self) -> RangeConsumerThread:
        return RangeConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def _drain_messages(self, fetcher: Any) -> None:
        """Hand what was fetched to the agents' streams, in bundles, until stopped.

        Faust races every record against a rebalance with four asyncio tasks, most of its cost. Here a bundle
        is handed over directly, and what was fetched before a rebalance is dropped at the next bundle: its
        offsets do not count as read, and Faust seeks back to what was acked after every assignment.

        A partition of which `_HELD_MAX` records wait for the agent is not fetched until half of them are taken:
        Faust's own limit is on what waits of all partitions together, in one queue, where the backlog of one
        would lie before everybody's next click.
        """
        while not (self.should_stop or fetcher.should_stop):
            await asyncio.sleep(0)
            full = bool(self._buffered_partitions)
            if full and self.flow_active and not self._get_active_partitions():
                await asyncio.sleep(_FULL_TIMEOUT_S)  # Faust would sleep a second
                continue
            fetched, active = await self._wait_next_records(_FULL_TIMEOUT_S if full else _FETCH_TIMEOUT_S)
            generation_id = self.app.consumer_generation_id
            if generation_id != self._held_generation:
                # Faust has emptied its queues, and fetches all partitions.
                self._held_generation = generation_id
                self._held.clear()
                self._buffered_partitions.clear()
            if fetched and not self.flow_active:
                await self.perform_seek()
                continue
            self.handed_over.clear()
            try:
                await self._hand_over(fetched or {}, active=active, generation_id=generation_id)
            finally:
                self.handed_over.set()

    async def _hand_over(
        self, fetched: Mapping[Any, Sequence[Any]], *, active: Any, generation_id: int
    ) -> None:
        for found, records in fetched.items():
            place = ensure_TP(found)  # aiokafka's kind equals Faust's, which some of its sets insist on
            if active is not None and place not in active and place not in self._buffered_partitions:
                continue
            for bundle in self._bundles(place, records, generation_id=generation_id):
                if self.suspend_flow.is_set() or generation_id != self.app.consumer_generation_id:
                    break
                self._held[place] += len(bundle.records)
                await self.callback(bundle)
                if self.suspend_flow.is_set() or generation_id != self.app.consumer_generation_id:
                    break  # a rebalance came between: its seek says what has been read
                self._read_offset[place] = bundle.offset
                await asyncio.sleep(0)
            if self._held[place] >= _HELD_MAX:
                self.on_buffer_full(place)

    def taken(self, bundle: Bundle) -> None:
        """The agent has the bundle; its partition may have room again."""
        place = bundle.tp
        if bundle.generation_id == self._held_generation:
            self._held[place] -= len(bundle.records)
            room = self._held[place] <= _HELD_MAX // 2
            if room and place in self._buffered_partitions and place in self.assignment():
                self.on_buffer_drop(place)

    def _bundles(self, place: TP, fetched: Sequence[Any], *, generation_id: int | None) -> Iterator[Bundle]:
        """What has not been read before, cut into bundles."""
        last = self._read_offset[place]
        unread = [
            LogRecord(
                place.topic,
                place.partition,
                record.offset,
                record.timestamp,
                record.key,
                record.value,
                record.headers,
            )
            for record in fetched
            if last is None or record.offset >= last
        ]
        for start in range(0, len(unread), _BUNDLE_MAX):
            records = unread[start : start + _BUNDLE_MAX]
            first = records[0].offset
            covers = range(min(first, last + 1) if last else first, records[-1].offset + 1)
            last = records[-1].offset
            yield Bundle(place, records=records, covers=covers, generation_id=generation_id)

    def ack(self, message: Any) -> bool:
        """As Faust's; a bundle acks every offset that it covers."""
        with ack_lock:
            acked = bool(super().ack(message))
            if acked and isinstance(message, Bundle):
                index, offsets = self._acked_index[message.tp], self._acked[message.tp]
                before = [offset for offset in message.covers[:-1] if offset not in index]
                index.update(before)
                offsets += before
        return acked


class HeadwaterTransport(Transport):
    """`faust.App(...).transport = HeadwaterTransport(url, app, fetch_wait_ms=20)`."""

    Consumer = RangeConsumer

    def __init__(
        self,
        url: Any,
        app: Any,
        *,
        fetch_wait_ms: int | None,
        fetch_min_bytes: int = 1,
        fetch_every_ms: int = 0,
        start_offsets: Mapping[tuple[str, int], int] | None = None,
        on_positions: OnPositions = lambda _positions: None,
    ) -> None:
        super().__init__(url, app)
        self.fetch_wait_ms = fetch_wait_ms
        self.fetch_min_bytes = fetch_min_bytes
        self.fetch_every_ms = fetch_every_ms
        self.start_offsets = start_offsets
        self.on_positions = on_positions
        self.working = Working()  # the agent says when it is
