"""Was the learner's folder made from the log that the broker has? One that was made anew begins at offset 0 again.

A learner that waits at an offset which its log does not reach would learn nothing for a long time, and look well.
Topics that were made anew and have meanwhile grown beyond the folder's offsets are not told from the old ones.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from streams.errors import OtherLog
from streams.kafka_settings import KafkaSettings
from streams.log_reader import groupless

_WAIT_S = 5.0  # for a broker to say where its log ends; one that does not is for others to complain about
_POLL_S = 0.1


def refuse_other_log(kafka: KafkaSettings, offsets: Mapping[tuple[str, int], int], *, folder: Path) -> None:
    """Raise OtherLog when one of `offsets`, the next to read by topic and partition, lies beyond its log.

    Where the log ends is taken from answers to fetches (ListOffsets LATEST is wrong on the embedded broker). An
    offset below what is retained is not another log's.
    """
    begun = {place: offset for place, offset in offsets.items() if offset > 0}
    if not begun:
        return
    consumer = Consumer(groupless(kafka.confluent(), **{"auto.offset.reset": "error"}))
    try:
        beyond = _beyond(consumer, begun)
    finally:
        consumer.close()
    if beyond:
        (topic, partition), end = min(beyond.items())
        raise OtherLog(
            f"{folder.absolute()} was made from another log: it has read {topic}-{partition} up to offset "
            f"{begun[topic, partition]:,}, and the broker's ends at {end:,}. Move the folder away to learn anew from "
            "what the broker has, or give this learner the broker, topic_prefix or learner.snapshot_dir that belong "
            "together"
        )


def _beyond(consumer: Any, offsets: Mapping[tuple[str, int], int]) -> dict[tuple[str, int], int]:
    """The ends of the partitions that do not reach their offset."""
    consumer.assign([TopicPartition(*place, offset) for place, offset in offsets.items()])
    waiting = set(offsets)
    beyond: dict[tuple[str, int], int] = {}
    deadline = time.monotonic() + _WAIT_S
    while waiting and time.monotonic() < deadline:
        for message in consumer.consume(num_messages=500, timeout=_POLL_S):
            place = (message.topic(), message.partition())
            error = message.error()
            if place in waiting and error is not None and error.code() == KafkaError._AUTO_OFFSET_RESET:
                low, high = _ends(consumer, place)
                if offsets[place] > max(low, high):
                    beyond[place] = high
            waiting.discard(place)
        for place in list(waiting):  # the embedded broker answers with the end, and no error
            _, high = consumer.get_watermark_offsets(TopicPartition(*place), cached=True)
            if 0 <= high < offsets[place]:
                beyond[place] = high
                waiting.discard(place)
    return beyond


def _ends(consumer: Any, place: tuple[str, int]) -> tuple[int, int]:
    try:
        low, high = consumer.get_watermark_offsets(TopicPartition(*place), timeout=_WAIT_S)
    except KafkaException:  # it is away again: not a sign of another log
        return 1 << 62, 1 << 62
    return int(low), int(high)
