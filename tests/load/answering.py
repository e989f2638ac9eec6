"""A recommender's outside, small enough to know by heart: it answers every event it can read.

It stands at the far side of Kafka for tests of the load generator, which must not need the real one.

    python -m tests.load.answering BOOTSTRAP     until standard input is closed
"""

import sys
import time
from collections.abc import Callable
from threading import Event, Thread

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from events.codec import decode
from events.ids import ItemId, UserId
from events.recommendation import (
    Policy,
    Recommendation,
    RecommendedItem,
    encode_recommendation,
    rec_id_of,
)
from events.topics import USER_TOPICS, Topic

_FAR_MS = 4_102_444_800_000

Slate = Callable[[str], tuple[str, ...]]
"""The items to recommend to a user."""


class Answering:
    """Reads every event from now on and answers with one recommendation a user and poll.

    `forget(user)` true: the user gets no answer. `repeat`: every recommendation is published twice, as
    after a redelivery. `degraded` is put on each record. Use as a context manager.
    """

    def __init__(
        self,
        bootstrap: str,
        *,
        topic_prefix: str = "",
        forget: Callable[[str], bool] = lambda _: False,
        repeat: bool = False,
        degraded: str = "",
        slate: Slate = lambda _: ("a",),
        arm: str = "only",
    ) -> None:
        self._prefix = topic_prefix
        self._forget, self._repeat, self._degraded = forget, repeat, degraded
        self._slate, self._arm = slate, arm
        self._stop = Event()
        self.events = 0
        self.rejects = 0
        self._consumer = KafkaConsumer(
            bootstrap_servers=bootstrap, fetch_max_wait_ms=20, metrics_enabled=False
        )
        self._producer = KafkaProducer(bootstrap_servers=bootstrap, linger_ms=1, metrics_enabled=False)
        places = [
            TopicPartition(f"{topic_prefix}{topic.value}", number)
            for topic in USER_TOPICS
            for number in self._consumer.partitions_for_topic(f"{topic_prefix}{topic.value}")
        ]
        self._consumer.assign(places)
        self._consumer.seek_to_beginning()
        while any(self._consumer.highwater(place) is None for place in places):
            self._consumer.poll(20)
        for place in places:
            self._consumer.seek(place, self._consumer.highwater(place))
        self._thread = Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Answering":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._consumer.close()
        self._producer.close(timeout=1)

    def _run(self) -> None:
        while not self._stop.is_set():
            seen: dict[str, dict[str, int]] = {}
            for place, records in self._consumer.poll(20).items():
                topic = Topic(place.topic.removeprefix(self._prefix))
                for record in records:
                    decoded = decode(record.value, topic=topic, now_ms=_FAR_MS, key=record.key)
                    self.events += len(decoded.events)
                    for reject in decoded.rejects:
                        self.rejects += 1
                        self._producer.send(f"{self._prefix}{Topic.DEAD_LETTERS.value}", reject.raw)
                    for event in decoded.events:
                        position = f"{topic.value}-{place.partition}"
                        seen.setdefault(event.user_id, {})[position] = record.offset
            for user, offsets in seen.items():
                if not self._forget(user):
                    self._recommend(UserId(user), offsets)

    def _recommend(self, user: UserId, offsets: dict[str, int]) -> None:
        items = tuple(
            RecommendedItem(item_id=ItemId(item), score=1.0 - slot / 100, slot=slot, propensity=1.0)
            for slot, item in enumerate(self._slate(user))
        )
        recommendation = Recommendation(
            rec_id=rec_id_of(user, seen_offsets=offsets, model_version=1, index_version=1),
            user_id=user,
            made_at=time.time_ns() // 1_000_000,
            items=items,
            policy=Policy(arm=self._arm, arm_propensity=1.0),
            model_version=1,
            index_version=1,
            seen_offsets=offsets,
            fresh_ms=1.0,
            degraded=self._degraded,
        )
        for _ in range(2 if self._repeat else 1):
            self._producer.send(
                f"{self._prefix}{Topic.RECOMMENDATIONS.value}",
                encode_recommendation(recommendation),
                key=user.encode(),
            )


if __name__ == "__main__":
    with Answering(sys.argv[1]):
        print("ready", flush=True)
        sys.stdin.read()
