"""One partition of several topics, read as one log: in the order of the records' times.

Kafka orders records within a topic's partition only. Shoppers' events of several topics met their state in the
order in which they came, and their times are the best trace of that order. Each topic has a consumer of its own,
so that a topic with a million clicks and one with ten purchases advance together, in bounded memory.
"""

from collections import deque
from collections.abc import Mapping
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition

from streams.errors import ReadError
from streams.log_reader import LogRecord, groupless, log_record

_AT_ONCE = 500
_LOST = (KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC)


class PartitionLog:
    """Reads from `start` (next offsets by topic; 0, or what is retained, where it is lower) to the end and on.

    The order is a function of the log: the topic whose next record has the lowest time goes first, of equals
    the first in the alphabet. Not for use by two threads at once.
    """

    def __init__(self, config: Mapping[str, Any], *, partition: int, start: Mapping[str, int]) -> None:
        self._tails = [
            _Tail(config, topic=topic, partition=partition, start=start[topic]) for topic in sorted(start)
        ]

    def take(self, limit: int, *, timeout_s: float = 0.05) -> list[LogRecord]:
        """Up to `limit` records; none when there are none yet, or not all topics have been looked at.

        Raises ReadError when a topic is gone.
        """
        taken: list[LogRecord] = []
        for tail in self._tails:
            if tail.ended and not tail.records:
                tail.fetch(timeout_s=0.0)
        while len(taken) < limit:
            for tail in self._tails:
                if not tail.records and not tail.ended:
                    tail.fetch(timeout_s=timeout_s)
            ready = [tail for tail in self._tails if tail.records]
            if not ready or any(not tail.records and not tail.ended for tail in self._tails):
                break
            first = min(ready, key=lambda tail: tail.records[0].timestamp_ms)
            taken.append(first.pop())
        return taken

    def reached(self) -> dict[str, int]:
        """Topic -> next offset: what lies before it was taken, or is not in the log."""
        return {tail.topic: tail.position for tail in self._tails}

    def left(self) -> int:
        """About how many records lie before it, as far as the broker has told."""
        return sum(tail.left() for tail in self._tails)

    def close(self) -> None:
        for tail in self._tails:
            tail.close()


class _Tail:
    """What is next of one topic's partition."""

    def __init__(self, config: Mapping[str, Any], *, topic: str, partition: int, start: int) -> None:
        self.topic = topic
        self.records: deque[LogRecord] = deque()
        self.position = start
        self.ended = False  # nothing lay behind `records` when last looked
        self._at = TopicPartition(topic, partition, start or OFFSET_BEGINNING)
        own = {
            "auto.offset.reset": "earliest",  # also where what lay at `start` is not retained any more
            "fetch.wait.max.ms": 20,
            "fetch.error.backoff.ms": 100,
            "queued.max.messages.kbytes": 4_096,
        }
        self._consumer = Consumer(groupless(config, **own))
        self._consumer.assign([self._at])

    def fetch(self, *, timeout_s: float) -> None:
        """Take what has come, waiting `timeout_s` for something to come."""
        messages: list[Any] = self._consumer.consume(num_messages=_AT_ONCE, timeout=timeout_s)
        for message in messages:
            error = message.error()
            if error is None:
                self.ended = False
                self.records.append(log_record(message))
            elif error.code() == KafkaError._PARTITION_EOF:
                self.ended = True
                if not self.records:
                    self.position = max(self.position, message.offset())
            elif error.fatal() or error.code() in _LOST:
                raise ReadError(topic=self.topic, cause=str(error))

    def pop(self) -> LogRecord:
        record = self.records.popleft()
        self.position = record.offset + 1
        return record

    def left(self) -> int:
        _, end = self._consumer.get_watermark_offsets(self._at, cached=True)
        return max(0, int(end) - self.position)

    def close(self) -> None:
        self._consumer.close()
