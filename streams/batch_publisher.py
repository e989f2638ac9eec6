"""Sends what a batch made in one request for each broker, however many partitions it goes to.

librdkafka sends a request for every partition. A broker works on a connection's requests one after the other, so
the slates of a batch for eight partitions wait for eight turns of its threads; on a machine that is shared with
the broker that is a seventh of a click's way. aiokafka puts all partitions of a broker into one request, and costs
the event loop less than librdkafka's thread takes from it, as long as records come in batches.
"""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from time import monotonic
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, KafkaTimeoutError

from streams.errors import PublishError
from streams.logs import get_logger
from streams.publisher import Record, Sender

log = get_logger("publisher")

_Place = tuple[str, int]  # topic, partition
_PATIENCE_S = 300.0  # how long a broker may be away, as librdkafka's message.timeout.ms
_BACKOFF_S = 0.1
_BATCH_BYTES = 512 * 1024  # of a partition in one request; a broker takes 1 MB unless it is told otherwise
_STOP_S = 5.0


class BatchPublisher:
    """An acks=all producer for records that name their partition; the others go through `others`.

    Use it from the event loop that first uses it. Records of one partition keep their order unless a broker is away
    so long that they are sent again.
    """

    def __init__(
        self, options: Mapping[str, Any], *, others: Sender, patience_s: float = _PATIENCE_S
    ) -> None:
        """`options`: how an aiokafka client connects."""
        self._options = {"acks": "all", "max_batch_size": _BATCH_BYTES, **options}
        self._others = others
        self._patience_s = patience_s
        self._producer: Any = None
        self._turn = asyncio.Lock()

    async def send(self, records: Sequence[Record]) -> None:
        """Return when every record is acknowledged by the broker; PublishError if any of them was not."""
        left: dict[_Place, list[Record]] = defaultdict(list)
        others: list[Record] = []
        for record in records:
            if record.partition is None:
                others.append(record)
            else:
                left[record.topic, record.partition].append(record)
        give_up_s, told = monotonic() + self._patience_s, False
        while left:
            failed = await self._attempt(left)
            for (topic, _), error in failed.items():
                if not _passes(error) or monotonic() > give_up_s:
                    raise PublishError(topic=topic, cause=repr(error)) from error
            if failed and not told:
                (topic, _), error = next(iter(failed.items()))
                log.warning(
                    "records for %s wait: %r; tried again for %g s, then the worker is started anew",
                    topic,
                    error,
                    self._patience_s,
                )
                told = True
            left = {place: left[place] for place in failed}
            if left:
                await asyncio.sleep(_BACKOFF_S)
        await self._others.send(others)

    async def stop(self) -> None:
        """Wait a moment for what is in flight; nothing can be sent afterwards."""
        if self._producer is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._producer.stop(), _STOP_S)

    async def _attempt(self, left: Mapping[_Place, Sequence[Record]]) -> dict[_Place, KafkaError]:
        """What went wrong at the places where something did."""
        async with self._turn:  # aiokafka lets a batch pass those that wait for the one before to go
            try:
                producer = self._producer or await self._start()
            except KafkaError as error:
                return dict.fromkeys(left, error)
            failed: dict[_Place, KafkaError] = {}
            replies: list[tuple[_Place, Any]] = []
            for place, records in left.items():
                topic, partition = place
                for batch in _batches(producer, records):
                    try:
                        replies.append((place, await producer.send_batch(batch, topic, partition=partition)))
                    except KafkaError as error:
                        failed[place] = error
        outcomes = await asyncio.gather(*(reply for _, reply in replies), return_exceptions=True)
        for (place, _), outcome in zip(replies, outcomes, strict=True):
            if isinstance(outcome, KafkaError):
                failed[place] = outcome
            elif isinstance(outcome, BaseException):
                raise outcome
        return failed

    async def _start(self) -> Any:
        producer = AIOKafkaProducer(**self._options)
        try:
            await producer.start()
        except BaseException:
            await producer.stop()
            raise
        self._producer = producer
        return producer


def _batches(producer: Any, records: Sequence[Record]) -> list[Any]:
    """The records of one place in aiokafka's batches, of `_BATCH_BYTES` or one record each."""
    batches = [producer.create_batch()]
    for record in records:
        while (
            batches[-1].append(
                key=record.key, value=record.value, timestamp=None, headers=list(record.headers)
            )
            is None
        ):
            batches.append(producer.create_batch())
    return batches


def _passes(error: KafkaError) -> bool:
    """Whether it may go well the next time."""
    return bool(error.retriable) or isinstance(error, KafkaTimeoutError)
