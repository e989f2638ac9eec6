"""A month of a shop whose shoppers and items never come back: nothing that the workers keep grows with it."""

import asyncio
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from numpy.typing import NDArray

from events.clock import ManualClock
from events.codec import encode
from events.flatten import HashCache
from events.ids import ItemId, UserId, stable_hash
from events.types import AnyUserEvent, CatalogueItem, Item, Purchase, Search, ViewItem, ViewItemList
from models.slate_outcomes import SlateOutcomes
from models.slate_records import OutcomesConfig
from serving.kept_states import KeptStates
from serving.memory_store import MemoryStore
from serving.state import StateCodec
from streams.encoding import EncodingAgent
from streams.metrics import Metrics
from tests.memory import held_by_part
from tests.serving.learners import DIM
from tests.streams.learner_agents import ENCODER, LearnerLife, learner_life
from tests.streams.recommenders import KEYS, NOW_MS, Shop, make_shop

DAYS, WARM_DAYS = 30, 10
SHOPPERS_A_DAY, ITEMS_A_DAY = 88, 43  # the month's are ten times what the small sources hold
DAY_MS = 86_400_000
HASHES, USERS, SLATES = 100, 200, 300  # remembered, in place of the 100,000 and more of production

pytestmark = [pytest.mark.usefixtures("compiled"), pytest.mark.long]


class UnitEncoder:
    """A vector of its own for every text."""

    def __init__(self, dim: int) -> None:
        self._dim = dim

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        chance = [np.random.default_rng(stable_hash(text) & 0xFFFF_FFFF) for text in texts]
        rows = np.stack([rng.normal(size=self._dim) for rng in chance]).astype(np.float32)
        unit: NDArray[np.float32] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return unit


def encoding_agent(*, dim: int, clock: ManualClock) -> EncodingAgent:
    return EncodingAgent(
        UnitEncoder(dim),
        encoder_name=ENCODER,
        vectors_topic="item-vectors",
        dead_letters_topic="dead-letters",
        metrics=Metrics(role="encoder"),
        clock=clock,
        remembered=100,
    )


class Month:
    """All parts of a recommender, a learner and an encoder, which are told each day of new people and things."""

    def __init__(self, folder: Path) -> None:
        self.shop: Shop = make_shop(store=MemoryStore(KEYS, capacity=USERS))
        self.life: LearnerLife = learner_life(folder, snapshot_every=200)
        self.encodings = [
            encoding_agent(dim=dim, clock=self.shop.clock) for dim in (self.shop.following.index.dim, DIM)
        ]
        learning = self.life.learnt.learning
        self.shop.following._hashes = HashCache(limit=HASHES)
        self.shop.agent._folding._hashes = HashCache(limit=HASHES)
        learning._hashes = HashCache(limit=HASHES)
        learning._kept = KeptStates(StateCodec(), capacity=USERS)
        outcomes = SlateOutcomes(OutcomesConfig(window_ms=60_000, capacity=SLATES))
        self.life.agent._lessons._outcomes = outcomes
        self._number = count()

    def live(self, day: int) -> None:
        self.shop.clock.advance(ms=DAY_MS)
        items = [f"item-{day}-{at}" for at in range(ITEMS_A_DAY)]
        described = [CatalogueItem(item_id=ItemId(item), item_name=f"thing {item}") for item in items]
        records = [self.shop.record("items", i.item_id.encode(), encode(i)) for i in described]
        for_shop, for_learner = (
            [self.shop.record("item-vectors", v.key or b"", v.value) for v in encoding.process(records)]
            for encoding in self.encodings
        )
        self.shop.following.handle(for_shop)
        self.shop.following.idle()
        self.life.feed(for_learner)
        for start in range(0, SHOPPERS_A_DAY, 22):
            shoppers = [f"user-{day}-{start + at}" for at in range(22)]
            records = self.shop.records([event for user in shoppers for event in self._visit(user, items)])
            records.append(self.shop.record("clicks", b"poison", b"\xff" * 20))
            self.shop.following.handle(records)
            published = asyncio.run(self.shop.agent.process(records, behind=()))
            slates = [
                self.shop.record("recommendations", slate.key or b"", slate.value)
                for slate in published
                if slate.topic == "recommendations"
            ]
            self.life.feed([*slates, *records])

    def _visit(self, user: str, items: list[str]) -> list[AnyUserEvent]:
        def common() -> dict[str, Any]:
            number = next(self._number)
            at_ms = self.shop.clock.now_ms() - DAY_MS // 2 + number
            return {"event_id": f"e{number}", "user_id": UserId(user), "occurred_at": at_ms}

        first, second = (
            Item(item_id=ItemId(items[at]))
            for at in np.random.default_rng(len(user)).integers(0, len(items), 2)
        )
        return [
            Search(**common(), search_term="thing"),
            ViewItemList(**common(), items=(first, second), rec_id=f"rec-{user}"),
            ViewItem(**common(), items=(first,), rec_id=f"rec-{user}"),
            Purchase(**common(), items=(first, second)),
        ]

    def held(self) -> dict[str, int]:
        agent, learning = self.life.agent, self.life.learnt.learning
        return held_by_part(
            {
                "agent": self.shop.agent,
                "store": self.shop.store,
                "following": self.shop.following,
                "sources": self.shop.following.sources,
                "index": self.shop.following.index,
                "model": self.shop.model,
                "encoding": self.encodings[0],
                "learning agent": agent,
                "outcomes": agent._lessons._outcomes,
                "sequencer": agent._sequencer,
                "learning": learning,
                "learner": self.life.learnt.learner,
            }
        )


def test_after_a_month_of_new_shoppers_and_items_nothing_has_grown(tmp_path: Path) -> None:
    month = Month(tmp_path)
    for day in range(WARM_DAYS):
        month.live(day)
        month.life.published.clear()
    warm, rss = month.held(), psutil.Process().memory_info().rss
    for day in range(WARM_DAYS, DAYS):
        month.live(day)
        month.life.published.clear()
    after = month.held()
    grown = {part: (warm[part], after[part]) for part in after if after[part] > warm[part] * 1.1 + 16_384}
    assert grown == {}
    assert psutil.Process().memory_info().rss - rss < 60e6
    assert month.life.learnt.learning.units > 0
    sources = month.shop.following.sources
    assert 10 * sources.limits.items < DAYS * ITEMS_A_DAY
    assert 10 * sources.limits.users < DAYS * SHOPPERS_A_DAY
    assert month.shop.value("headwater_recommendations_total") > DAYS * SHOPPERS_A_DAY / 2
    assert month.shop.clock.now_ms() == NOW_MS + DAYS * DAY_MS
