"""The learner's agent with all its parts, fed records by hand in place of a broker."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from events.clock import ManualClock
from events.codec import encode
from events.ids import ItemId, UserId
from events.item_vector import ItemVector, encode_item_vector
from events.recommendation import Policy, Recommendation, RecommendedItem, encode_recommendation
from events.topics import USER_TOPICS, Topic
from events.types import Item, Purchase, ViewItem
from models.bandit import BanditConfig, DiversityBandit
from models.deep_config import DeepConfig
from models.promotion import PromotionConfig
from models.slate_outcomes import SlateOutcomes
from models.slate_records import OutcomesConfig
from models.state import Arrays
from streams.following import Following
from streams.learning import LearningAgent, LearningAgentConfig
from streams.log_reader import LogRecord
from streams.metrics import Metrics
from streams.publisher import Record
from tests.serving.learners import DIM, Learnt, make_learning, state_of

START_MS = 1_700_000_000_000
PARTITIONS = 3
ENCODER = "test-encoder"
TOPICS = {topic.value: topic for topic in (*USER_TOPICS, Topic.RECOMMENDATIONS, Topic.ITEM_VECTORS)}
Log = dict[tuple[str, int], list[LogRecord]]


@dataclass
class LearnerLife:
    """One life of a learner's process, from its start to whatever ends it; `folder` outlives it."""

    agent: LearningAgent
    learnt: Learnt
    metrics: Metrics
    published: list[Record] = field(default_factory=list)

    def events(self) -> float:
        """Events of shoppers taken in this life."""
        return sum(
            sample.value
            for family in self.metrics.registry.collect()
            for sample in family.samples
            if sample.name == "headwater_events_total"
        )

    def failures(self, what: str) -> float:
        """How often the disk did not take it."""
        return self.metrics.registry.get_sample_value("headwater_disk_failures_total", {"what": what}) or 0.0

    def feed(self, records: Iterable[LogRecord]) -> None:
        """One record a call, as a slow stream comes; `process` takes any number."""
        for record in records:
            self.published += self.agent.process([record])

    def state(self) -> Arrays:
        return state_of(self.learnt)


def learner_life(
    folder: Path,
    *,
    deep: DeepConfig | None = None,
    snapshot_every: int = 4,
    publish_every: int = 2,
    promotion: PromotionConfig | None = None,
) -> LearnerLife:
    """A process starts: from the newest snapshot in `folder`, if there is one."""
    learnt = make_learning(deep=deep, promotion=promotion or PromotionConfig())
    metrics, clock = Metrics(role="learner"), ManualClock(now_ms=START_MS)
    bandit = DiversityBandit(BanditConfig())
    agent = LearningAgent(
        LearningAgentConfig(
            topics=TOPICS,
            adapters_topic="adapters",
            folder=folder,
            publish_every=publish_every,
            snapshot_every=snapshot_every,
        ),
        learning=learnt.learning,
        following=Following(
            sources=learnt.recommender.sources,
            index=learnt.recommender.sources._index,  # type: ignore[arg-type]
            apply_adapter=no_adapters,
            topics=TOPICS,
            encoder_name=ENCODER,
            out_of_stock=False,
            metrics=metrics,
            clock=clock,
        ),
        bandit=bandit,
        outcomes=SlateOutcomes(OutcomesConfig(window_ms=60_000)),
        metrics=metrics,
        clock=clock,
    )
    return LearnerLife(agent, learnt, metrics)


def no_adapters(_record: LogRecord) -> int:
    raise TypeError("a learner reads no adapters")


def shop_log(events: int = 240, *, seed: int = 0, users: int = 15, items: int = 25) -> Log:
    """What lies on the topics: clicks and baskets, slates with clicks on them, item vectors; by partition.

    Times rise with the record's number, one second a record, over all topics."""
    rng = np.random.default_rng(seed)
    log: Log = {}

    def put(topic: Topic, partition: int, *, number: int, key: str, value: bytes | None) -> None:
        records = log.setdefault((topic.value, partition), [])
        at_ms = START_MS + number * 1000
        records.append(LogRecord(topic.value, partition, len(records), at_ms, key.encode(), value))

    arms = [arm.name for arm in BanditConfig().arms]
    for number in range(events):
        user, item = int(rng.integers(users)), int(rng.integers(items))
        partition, name = user % PARTITIONS, f"u{user}"
        common: dict[str, Any] = {
            "event_id": f"e{number}",
            "occurred_at": START_MS + number * 1000,
            "user_id": UserId(name),
            "items": (Item(item_id=ItemId(f"i{item}")),),
        }
        match number % 8:
            case 0:
                put(Topic.ITEM_VECTORS, item % PARTITIONS, number=number, key=f"i{item}", value=_vector(item))
            case 1:
                slate = _slate(name, item, number=number, arm=arms[int(rng.integers(len(arms)))])
                put(Topic.RECOMMENDATIONS, partition, number=number, key=name, value=slate)
                view = ViewItem(**common, rec_id=f"rec-{number}", slot=0)
                put(Topic.CLICKS, partition, number=number, key=name, value=encode(view))
            case 2:
                put(Topic.PURCHASES, partition, number=number, key=name, value=encode(Purchase(**common)))
            case _:
                put(Topic.CLICKS, partition, number=number, key=name, value=encode(ViewItem(**common)))
    return log


def interleaved(log: Log, *, seed: int, start: dict[tuple[str, int], int] | None = None) -> list[LogRecord]:
    """The log from `start` (next offsets) on as a consumer may see it: partitions mixed by chance."""
    rng = np.random.default_rng(seed)
    begin = start or {}
    left = {place: records[begin.get(place, 0) :] for place, records in sorted(log.items())}
    left = {place: records for place, records in left.items() if records}
    mixed: list[LogRecord] = []
    while left:
        place = list(left)[int(rng.integers(len(left)))]
        take = int(rng.integers(1, 6))
        mixed += left[place][:take]
        left[place] = left[place][take:]
        if not left[place]:
            del left[place]
    return mixed


def in_order_of(log: Log, runs: Sequence[tuple[str, int, int]]) -> list[LogRecord]:
    """The records of these runs (topic, partition, last offset), one run after the other."""
    taken: list[LogRecord] = []
    at: dict[tuple[str, int], int] = {}
    for topic, partition, last in runs:
        taken += log[topic, partition][at.get((topic, partition), 0) : last + 1]
        at[topic, partition] = last + 1
    return taken


def _vector(item: int) -> bytes:
    vector = np.random.default_rng(1000 + item).normal(size=DIM)
    vector /= np.linalg.norm(vector)
    return encode_item_vector(
        ItemVector(
            item_id=ItemId(f"i{item}"),
            title=f"Item {item}",
            vector=vector.astype("<f2").tobytes(),
            encoder=ENCODER,
            price=1.0 + item,
            first_ms=START_MS,
        )
    )


def _slate(user: str, item: int, *, number: int, arm: str) -> bytes:
    items = tuple(
        RecommendedItem(item_id=ItemId(f"i{item + at}"), score=1.0, slot=at, propensity=0.5)
        for at in range(3)
    )
    return encode_recommendation(
        Recommendation(
            rec_id=f"rec-{number}",
            user_id=UserId(user),
            made_at=START_MS + number * 1000,
            items=items,
            policy=Policy(arm=arm, arm_propensity=0.25, context=number % 4),
            model_version=0,
            index_version=0,
            seen_offsets={},
            fresh_ms=1.0,
        )
    )
