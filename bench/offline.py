"""The learner without Kafka: the same parts as its worker has, fed with events and items in process."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.telling import Tell, silent
from events.clock import SystemClock
from events.codec import encode
from events.ids import UserId, stable_hash
from events.topics import Topic
from events.types import AnyUserEvent, CatalogueItem
from models import adapters
from models.bandit import BanditConfig, DiversityBandit
from models.encoder import TextEncoder
from models.learner import Learner
from models.ranker import RankerConfig
from serving.learning import Learning
from serving.recommender import Recommender, StageTimer
from streams.adapter_topic import ADAPTER_KEY, SERVING_HEADER
from streams.building import (
    bandit_config,
    feature_schema,
    item_index,
    learner_config,
    learning_config,
    ranker_config,
    recommend_config,
    source_set,
    state_codec,
)
from streams.encoding import EncodingAgent
from streams.following import Following
from streams.log_reader import LogRecord
from streams.metrics import Metrics
from streams.publisher import Record
from streams.settings import Settings

_TELL_EVERY = 2_000
_ENCODED_AT_ONCE = 256
_ITEM_VECTORS = Topic.ITEM_VECTORS.value


def item_vectors(items: Sequence[CatalogueItem], *, settings: Settings, topic: str) -> list[Record]:
    """What the encoder worker would publish on `topic` for these catalogue records, in their order."""
    learner = settings.learner
    agent = EncodingAgent(
        TextEncoder(learner.encoder, device=learner.device, threads=learner.threads),
        encoder_name=learner.encoder,
        vectors_topic=topic,
        dead_letters_topic=Topic.DEAD_LETTERS.value,
        metrics=Metrics(role="encoder"),
        clock=SystemClock(),
    )
    made: list[Record] = []
    for chunk in _batched(items, _ENCODED_AT_ONCE):
        records = [
            LogRecord(Topic.ITEMS.value, 0, at, item.occurred_at or 0, item.item_id.encode(), encode(item))
            for at, item in enumerate(chunk)
        ]
        made += agent.process(records)
    return made


class Offline:
    """Sources, recommender and learner of one process. Each catalogue record comes before the first event
    that happened after it, and not before one of the same moment: often that is the item's first sale."""

    def __init__(
        self,
        settings: Settings,
        *,
        timer: StageTimer | None = None,
        recommender: type[Recommender] = Recommender,
        learning: type[Learning] = Learning,
        learner: type[Learner] = Learner,
        bandit: BanditConfig | None = None,
        ranker: RankerConfig | None = None,
    ) -> None:
        self.settings = settings
        index = item_index(settings)
        self.sources = source_set(settings, index=index)
        self.learner = learner(
            ranker or ranker_config(settings),
            learner_config(settings),
            n_features=len(self.sources.feature_names),
            dim=index.dim,
            schema=feature_schema(self.sources),
        )
        self.bandit = DiversityBandit(bandit or bandit_config(settings))
        self.codec = state_codec(settings)
        self.recommender = recommender(
            recommend_config(settings),
            sources=self.sources,
            ranker=self.learner.ranker,
            bandit=self.bandit,
            timer=timer,
        )
        self.recommender.trained = True  # as after the first adapter
        self.learning = learning(
            learning_config(settings), recommender=self.recommender, learner=self.learner, codec=self.codec
        )
        self.events = 0
        self.steps = 0
        self._following = Following(
            sources=self.sources,
            index=index,
            apply_adapter=_refuse_adapter,
            topics={_ITEM_VECTORS: Topic.ITEM_VECTORS},
            encoder_name=settings.learner.encoder,
            out_of_stock=settings.serving.out_of_stock,
            metrics=Metrics(role="learner"),
            clock=SystemClock(),
        )

    def run(
        self,
        events: Iterable[AnyUserEvent],
        *,
        items: Sequence[CatalogueItem] = (),
        vectors: Sequence[Record] = (),
        tell: Tell = silent,
        seen: Callable[[int], None] = lambda _events: None,
    ) -> None:
        """Learn from `events` one by one, as from records of their own, training whenever it is due.

        `items` are by time, and `vectors` what `item_vectors` made of them, one for one. `seen` is told after
        each event how many there have been.
        """
        waiting = iter(zip(items, vectors, strict=True))
        due = next(waiting, None)
        for event in events:
            while due is not None and (due[0].occurred_at or 0) < event.occurred_at:
                self.take_item(due[1])
                due = next(waiting, None)
            self.learning.take([event])
            if self.learning.due:
                self.learning.train()
                self.bandit.explore(self.learner.exploration)
                self.steps += 1
            self.events += 1
            seen(self.events)
            if self.events % _TELL_EVERY == 0:
                tell(f"{self.events:,} events learnt, {self.steps:,} steps")

    def states_of(self, users: Sequence[UserId]) -> NDArray[np.int64]:
        """(B, W) states of users that it has seen."""
        blobs = [self.learning.states[user] for user in users]
        return self.codec.unpack(blobs, users=user_hashes(users))

    def settle(self) -> None:
        """Do what a worker does in quiet moments, once for every item."""
        self.sources.refresh(limit=len(self.sources.items))
        self._following.idle()

    def adapter(self, *, topic: str, version: int = 1, deep_pays: bool | None = None) -> Record:
        """The record by which recommenders take over this model; `deep_pays` None is the learner's verdict."""
        pays = self.learner.prequential.gate.pays() if deep_pays is None else deep_pays
        serving: dict[str, Any] = {
            "version": version,
            "deep_pays": pays,
            "bandit": self.bandit.state(),
            "remembered": self.learner.remembered,
        }
        return Record(
            topic,
            ADAPTER_KEY,
            adapters.pack(self.learner.ranker, version=str(version)),
            headers=((SERVING_HEADER, json.dumps(serving).encode()),),
        )

    def take_item(self, vector: Record) -> None:
        """Take a record of the topic item-vectors."""
        self._following.handle([LogRecord(_ITEM_VECTORS, 0, 0, 0, vector.key, vector.value)])


def user_hashes(users: Sequence[UserId]) -> NDArray[np.int64]:
    """(B,) what stands for the users in arrays."""
    return np.array([stable_hash(user) for user in users], np.int64)


def _batched(items: Sequence[CatalogueItem], size: int) -> Iterator[Sequence[CatalogueItem]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _refuse_adapter(_record: LogRecord) -> int:
    raise TypeError("in process, the ranker that learns is the ranker that serves")
