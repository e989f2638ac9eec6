"""The recommender's agent with all its parts and a store in memory, fed records by hand."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from events.clock import ManualClock
from events.codec import encode
from events.ids import partition_of
from events.recommendation import Recommendation, decode_recommendation
from events.topics import USER_TOPICS, Topic
from events.types import AnyUserEvent
from load.sender import topic_of
from models.probe import Probe
from serving.keys import KeySpace
from serving.memory_store import MemoryStore
from serving.overload import Overload, OverloadConfig
from serving.ports import UserStore
from serving.state import StateCodec
from streams.continuity import Continuity
from streams.following import Following
from streams.log_reader import LogRecord
from streams.metrics import Metrics
from streams.publisher import Record
from streams.recommending import AgentConfig, RecommendingAgent
from streams.serving_model import ServingModel
from streams.slates import SlateMaker, SlatesConfig
from streams.warming import tiny_recommender

PARTITIONS = 4
KEYS = KeySpace(prefix="t", partitions=PARTITIONS)
NOW_MS = 1_700_100_000_000
TOPICS = {topic.value: topic for topic in (*USER_TOPICS, Topic.ITEM_VECTORS, Topic.ADAPTERS)}


@dataclass
class Shop:
    """A log that tests append to, and an agent that reads it when told."""

    agent: RecommendingAgent
    store: UserStore
    following: Following
    model: ServingModel
    metrics: Metrics
    clock: ManualClock
    continuity: Continuity
    ends: dict[tuple[str, int], int] = field(default_factory=dict)
    published: list[Record] = field(default_factory=list)

    def records(self, events: Sequence[AnyUserEvent]) -> list[LogRecord]:
        """The events as the broker would have them, each a record."""
        return [self.record(topic_of(e).value, e.user_id.encode(), encode(e)) for e in events]

    def record(self, topic: str, key: bytes, value: bytes | None) -> LogRecord:
        partition = partition_of(key, partitions=PARTITIONS)
        offset = self.ends.get((topic, partition), 0)
        self.ends[topic, partition] = offset + 1
        return LogRecord(topic, partition, offset, self.clock.now_ms(), key, value)

    async def publish(self, records: Sequence[Record]) -> None:
        self.published += records

    def value(self, series: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(series, labels) or 0.0


def make_shop(
    *, store: UserStore | None = None, clock: ManualClock | None = None, pending_max: int = 3, **overload: Any
) -> Shop:
    """An agent with untrained weights, no transformer and nothing known yet."""
    recommender = tiny_recommender()
    index = recommender.sources._index
    metrics, codec = Metrics(role="recommender"), StateCodec()
    clock = clock or ManualClock(now_ms=NOW_MS)
    probe = Probe(recommender.ranker, candidates=8, limit_ms=0)
    model = ServingModel(recommender, index=index, probe=probe)  # type: ignore[arg-type]
    following = Following(
        sources=recommender.sources,
        index=index,  # type: ignore[arg-type]
        apply_adapter=model.apply,
        topics=TOPICS,
        encoder_name="test-encoder",
        out_of_stock=False,
        metrics=metrics,
        clock=clock,
    )
    used = store or MemoryStore(KEYS)
    continuity = Continuity(metrics=metrics)
    agent = RecommendingAgent(
        AgentConfig(
            topics={topic.value: topic for topic in USER_TOPICS},
            dead_letters_topic="dead-letters",
            pending_max=pending_max,
        ),
        store=used,
        codec=codec,
        slates=SlateMaker(
            SlatesConfig(topic="recommendations"),
            model=model,
            lock=following.lock,
            codec=codec,
            overload=Overload(OverloadConfig(**overload)),
            metrics=metrics,
            clock=clock,
        ),
        continuity=continuity,
        metrics=metrics,
        clock=clock,
    )
    return Shop(agent, used, following, model, metrics, clock, continuity)


def slates_in(records: Sequence[Record]) -> list[Recommendation]:
    """The recommendations among the records to publish."""
    return [decode_recommendation(r.value or b"") for r in records if r.topic == "recommendations"]
