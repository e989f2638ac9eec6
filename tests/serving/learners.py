"""A learner with everything it stands on, small enough for a test, and streams that it should understand."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from events.ids import ItemId, UserId
from events.types import AnyUserEvent, Item, Purchase, ViewItem
from index.items import ItemIndex
from index.sources.assembly import SourcesConfig
from index.sources.base import Limits
from index.sources.source_set import SourceSet
from models.bandit import BanditConfig, DiversityBandit
from models.deep_config import DeepConfig
from models.learner import Learner, LearnerConfig, StepReport
from models.prequential import PrequentialConfig
from models.promotion import PromotionConfig
from models.ranker import RankerConfig
from models.replay import ReplayConfig
from models.slate import SlateConfig
from models.state import Arrays
from serving.learning import Learning, LearningConfig
from serving.recommender import RecommendConfig, Recommender
from serving.state import StateCodec

DIM = 16
START_MS = 1_700_000_000_000
SECOND_MS = 1_000
LIMITS = Limits(
    items=128,
    users=256,
    sessions=512,
    session_length=16,
    user_items=32,
    item_sessions=32,
    item_users=32,
    neighbours=16,
)


@dataclass(frozen=True)
class Learnt:
    """A Learning and the parts whose state it changes."""

    learning: Learning
    recommender: Recommender
    learner: Learner


def make_learning(
    *,
    deep: DeepConfig | None = None,
    batch_units: int = 8,
    chunk_units: int = 8,
    users: int = 1000,
    seed: int = 3,
    promotion: PromotionConfig | None = None,
) -> Learnt:
    """A fresh one; two made alike start alike."""
    index = ItemIndex(DIM)
    sources = SourceSet(LIMITS, index=index, config=SourcesConfig(candidates=48), dim=DIM)
    learner = Learner(
        RankerConfig(wide_hidden=(32, 16), deep=deep, threads=1, device="cpu", seed=seed),
        LearnerConfig(
            replay=ReplayConfig(recent=64, reservoir=64, candidates=12),
            deep_every=2,
            prequential=PrequentialConfig(deep_sample_every=2),
            promotion=promotion,
            seed=seed,
        ),
        n_features=len(sources.feature_names),
        dim=DIM,
    )
    recommender = Recommender(
        RecommendConfig(slate=SlateConfig(k=5), deep_history=5),
        sources=sources,
        ranker=learner.ranker,
        bandit=DiversityBandit(BanditConfig()),
    )
    config = LearningConfig(batch_units=batch_units, chunk_units=chunk_units, history=32, users=users)
    return Learnt(
        Learning(config, recommender=recommender, learner=learner, codec=StateCodec()), recommender, learner
    )


def learn(learnt: Learnt, records: Iterable[Sequence[AnyUserEvent]]) -> list[StepReport]:
    """Take the events of each record and train whenever a step is due, as the agent does."""
    reports = []
    for events in records:
        learnt.learning.take(events)
        if learnt.learning.due:
            reports.append(learnt.learning.train())
    return reports


def state_of(learnt: Learnt) -> Arrays:
    """Everything that was learnt, by name: compare with `same`."""
    sources = {f"sources.{name}": array for name, array in learnt.recommender.sources.snapshot().items()}
    return {**learnt.learner.snapshot(), **sources}


def differences(one: Arrays, two: Arrays) -> list[str]:
    """The names of the arrays that are not equal to the last bit."""
    assert one.keys() == two.keys()
    return [
        name
        for name in one
        if one[name].dtype != two[name].dtype or one[name].tobytes() != two[name].tobytes()
    ]


def click(user: str, item: str, *, number: int) -> ViewItem:
    return ViewItem(
        event_id=f"e{number}",
        occurred_at=START_MS + number * SECOND_MS,
        user_id=UserId(user),
        items=(Item(item_id=ItemId(item)),),
    )


def basket(user: str, *items: str, number: int) -> Purchase:
    return Purchase(
        event_id=f"e{number}",
        occurred_at=START_MS + number * SECOND_MS,
        user_id=UserId(user),
        items=tuple(Item(item_id=ItemId(item)) for item in items),
    )


def random_events(n: int, *, seed: int = 0, users: int = 20, items: int = 30) -> list[AnyUserEvent]:
    """Clicks and baskets without a pattern."""
    rng = np.random.default_rng(seed)
    made: list[AnyUserEvent] = []
    for number in range(n):
        user = f"u{rng.integers(users)}"
        some = [f"i{item}" for item in rng.integers(items, size=3)]
        made.append(
            basket(user, *some, number=number) if rng.random() < 0.2 else click(user, some[0], number=number)
        )
    return made


def successions(n: int, *, seed: int = 0, users: int = 24, items: int = 40) -> list[AnyUserEvent]:
    """Every shopper goes from item i to i + 1, or starts anew at a random item one time in five: what comes
    next can be known from the last item, and from nothing else. All items are equally popular."""
    rng = np.random.default_rng(seed)
    at = rng.integers(items, size=users)
    made: list[AnyUserEvent] = []
    for number in range(n):
        user = int(rng.integers(users))
        at[user] = rng.integers(items) if rng.random() < 0.2 else (at[user] + 1) % items
        made.append(click(f"u{user}", f"i{at[user]}", number=number))
    return made
