"""Compiles every kernel before the first click needs it; numba keeps the result on disk for the next process."""

from dataclasses import replace
from itertools import count

import numpy as np

from events.flatten import HashCache, to_columns
from events.ids import ItemId, UserId, stable_hash
from events.types import AnyUserEvent, Item, Purchase, ViewItem
from index.items import ItemIndex
from index.sources.base import Limits
from index.sources.influence import that_count
from index.sources.source_set import SourceSet
from models.bandit import BanditConfig, DiversityBandit
from models.ranker import Ranker, RankerConfig
from models.slate import SlateConfig
from serving.names import ItemNames
from serving.overload import Plan
from serving.recommender import RecommendConfig, Recommender, StageTimer
from serving.state import StateCodec

_DIM = 8
_LIMITS = Limits(
    items=64,
    users=64,
    sessions=64,
    session_length=8,
    user_items=8,
    item_sessions=8,
    item_users=8,
    neighbours=8,
)


def warm_up(timer: StageTimer | None = None) -> None:
    """Take a handful of made-up events through state, sources, features, ranker and slate.

    A minute on a machine that has never run it, a second or two afterwards.
    """
    recommender = tiny_recommender(timer)
    events = _events()
    hashes = HashCache()
    columns = to_columns(events, hashes=hashes)
    codec = StateCodec()
    states = codec.unpack([None] * len(columns.users), users=columns.user_hashes)
    codec.fold(states, columns=columns, positions=np.full((len(events), 3), -1, np.int64))
    states = codec.unpack(codec.pack(states), users=columns.user_hashes)
    sources = recommender.sources
    for number in range(6):
        row = np.array([stable_hash(f"item-{number}")], np.int64)
        sources.upsert_item(ItemId(f"item-{number}"), first_ms=1_700_000_000_000, title="warm", price=1.0)
        sources.set_vectors(row, np.full((1, _DIM), 1.0 + number, np.float32))
    counted = that_count(columns.interactions, sources.influence.judge_columns(columns))
    sources.learn(counted, names=ItemNames(events, hashes=hashes))
    sources.refresh()
    for trained in (False, True):
        recommender.trained = trained
        recommender.recommend(
            codec.view(states, history=16),
            now_ms=np.full(len(states), 1_700_000_100_000, np.int64),
            seeds=np.arange(len(states), dtype=np.uint64),
            plan=Plan(deep_users=0, candidates_share=1.0),
            deep=False,
        )


def tiny_recommender(timer: StageTimer | None = None) -> Recommender:
    """A recommender of the real parts, a few rows large, without a transformer."""
    sources = SourceSet(_LIMITS, index=ItemIndex(_DIM), dim=_DIM)
    ranker = Ranker(replace(RankerConfig(), deep=None), n_features=len(sources.feature_names), dim=_DIM)
    return Recommender(
        RecommendConfig(slate=SlateConfig(k=4)),
        sources=sources,
        ranker=ranker,
        bandit=DiversityBandit(BanditConfig()),
        timer=timer,
    )


def _events() -> list[AnyUserEvent]:
    number = count()
    events: list[AnyUserEvent] = []
    for step in range(4):
        for user in ("ann", "bob", "cem"):
            at = next(number)
            first = Item(item_id=ItemId(f"item-{(step + at) % 6}"))
            second = Item(item_id=ItemId(f"item-{at % 6}"))
            event_id, user_id, occurred_at = f"event-{at}", UserId(user), 1_700_000_000_000 + at * 1000
            events.append(
                Purchase(event_id=event_id, user_id=user_id, occurred_at=occurred_at, items=(first, second))
                if step == 3
                else ViewItem(event_id=event_id, user_id=user_id, occurred_at=occurred_at, items=(first,))
            )
    return events
