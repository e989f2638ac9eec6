"""A simulated shop in process: shoppers who click on what the product shows them, and half of whom change.

Page views follow load.simulate's rules on a clock of their own: a view shows the shopper the slate that the
product makes then, a share of them browse by taste, and what they do goes into the product's own learning.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.prequential.engine import Engine, PromptLearning
from events.columns import Kind
from events.flatten import KIND_OF
from events.ids import ItemId, UserId, stable_hash
from events.recommendation import RecommendedItem
from events.types import AnyUserEvent
from load.browsing import ORGANIC_SHARPNESS, Visit, browse, view_slate
from load.invented_catalogue import InventedCatalogue, invent_catalogue
from load.shoppers import Shoppers, chances, invent_shoppers
from models.learner import StepReport
from models.slate_outcomes import SlateOutcomes
from models.slate_records import OutcomesConfig, Recommended
from serving.overload import Plan
from streams.publisher import Record

Frozen = Literal["nothing", "models", "everything"]
K = 20
_ONE = Plan(deep_users=1, candidates_share=1.0)
_START_MS = 1_700_000_000_000
_MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class World:
    """The shop before the product: its items, their text vectors as records, its shoppers, and who changes."""

    catalogue: InventedCatalogue
    vectors: Sequence[Record]
    shoppers: Shoppers
    changing: NDArray[np.bool_]  # (S,) half of them

    @property
    def users(self) -> list[UserId]:
        return [UserId(f"shopper-{number}") for number in range(len(self.shoppers))]


def invent_world(
    *, items: int, shoppers: int, seed: int
) -> tuple[InventedCatalogue, Shoppers, NDArray[np.bool_]]:
    """Catalogue, shoppers, and (S,) which half of them will change, all of `seed`."""
    rng = np.random.default_rng([seed, 1])
    catalogue = invent_catalogue(items, rng=rng)
    people = invent_shoppers(shoppers, rng=rng)
    changing = np.zeros(shoppers, np.bool_)
    changing[rng.permutation(shoppers)[: shoppers // 2]] = True
    return catalogue, people, changing


@dataclass(frozen=True, slots=True)
class ShopConfig:
    """How shoppers behave (see load.simulate.SimulationConfig); `view_every_ms` of event time, all together."""

    new_session: float = 0.2
    organic: float = 0.3
    view_every_ms: int = 3_000
    impression_window_ms: int = 60 * _MINUTE_MS
    seed: int = 0


class HaltingLearning(PromptLearning):
    """The product's learning, whose training can be stopped: states and sources go on, the weights stay."""

    halted = False

    def train(self) -> StepReport:
        """As Learning.train; halted, the units that wait are dropped."""
        if not self.halted:
            return super().train()
        units, self._waiting = self._waiting_units(), []
        return StepReport(units, 0, skipped="halted")


class Shop:
    """One product in front of one world. `swap` moves the tastes; `probe` says how well everybody is served."""

    def __init__(self, config: ShopConfig, *, world: World, engine: Engine) -> None:
        """`engine`'s learning must be a HaltingLearning for `freeze` to have an effect on the models."""
        self.config = config
        self.engine = engine
        self.events = 0
        self.views = 0
        self._worth: list[float] = []  # clicks a slot to be expected, of each slate since last asked
        self.frozen: Frozen = "nothing"
        self._world = world
        self._shoppers = world.shoppers
        self._rng = np.random.default_rng([config.seed, 2])
        self._users = world.users
        self._hashes = np.array([stable_hash(user) for user in self._users], np.int64)
        self._row_of = {stable_hash(item.item_id): row for row, item in enumerate(world.catalogue.items)}
        self._sessions = [0] * len(self._users)
        self._arms = engine.bandit.config.arms
        self._outcomes = SlateOutcomes(OutcomesConfig(window_ms=config.impression_window_ms))
        for record in world.vectors:
            engine.take_item(record)

    @property
    def now_ms(self) -> int:
        return _START_MS + self.views * self.config.view_every_ms

    def swap(self) -> None:
        """The tastes of the half that changes move to other categories and styles."""
        self._shoppers = self._shoppers.swapped(who=self._world.changing)

    def freeze(self, what: Frozen) -> None:
        """From now on "models" learn no more (ranker, bandit), or "everything": sources and states neither."""
        self.frozen = what
        learning = self.engine.learning
        if isinstance(learning, HaltingLearning):
            learning.halted = what != "nothing"

    def view(self) -> None:
        """One page view of one shopper, and what the product makes of it."""
        self.views += 1
        shopper = int(self._rng.integers(0, len(self._users)))
        appeal = self._shoppers.appeal(shopper, catalogue=self._world.catalogue)
        begins, organic = self._rng.random(2) < (self.config.new_session, self.config.organic)
        self._sessions[shopper] += int(begins)
        user = self._users[shopper]
        visit = Visit(
            user_id=user,
            session_id=f"{user}-{self._sessions[shopper]}",
            now_ms=self.now_ms,
            id_prefix=f"{self.views}-",
        )
        catalogue = self._world.catalogue
        slate = () if organic else self._slate(shopper)
        if not slate:
            events = list(browse(visit, appeal=appeal, catalogue=catalogue, rng=self._rng))
        else:
            shown = np.array([self._row_of[stable_hash(entry.item_id)] for entry in slate], np.int64)
            self._worth.append(chances(appeal, shown=shown).slate)
            rec_id = str(self.views)
            events = list(
                view_slate(
                    visit,
                    rec_id=rec_id,
                    slate=slate,
                    shown=shown,
                    appeal=appeal,
                    catalogue=catalogue,
                    rng=self._rng,
                )
            )
        for event in events:
            self._take(event)

    def clicks_a_slot(self) -> float:
        """To be expected by the tastes, of the slates shown since last asked; 0.0 without any."""
        worth, self._worth = self._worth, []
        return float(np.mean(worth)) if worth else 0.0

    def probe(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(S,) recall@20 of every shopper, were they asked now, and (S,) the best there is.

        It is the probability that what the shopper would open unaided is among the twenty best ranked, which
        is what the recall of such an event comes to on average.
        """
        engine = self.engine
        states = engine.codec.unpack(
            [engine.learning.states.get(user) for user in self._users], users=self._hashes
        )
        view = engine.codec.view(states, history=engine.learning.config.history)
        recommender = engine.recommender
        now_ms = np.full(len(self._users), self.now_ms, np.int64)
        batch = recommender.rank(view, now_ms=now_ms).batch
        scores = recommender.ranker.score(
            batch, recommender.item_table(), deep=engine.deep_serves
        ).total  # (S, C)
        order = np.argsort(-scores, axis=1, kind="stable")[:, :K]
        rows = np.take_along_axis(batch.candidates, order, axis=1)  # (S, K)
        hashes = engine.sources.catalogue.hashes[rows]
        recall, best = np.zeros(len(rows)), np.zeros(len(rows))
        for shopper in range(len(rows)):
            chance = self._shoppers.appeal(shopper, catalogue=self._world.catalogue) ** ORGANIC_SHARPNESS
            chance /= chance.sum()
            found = [self._row_of[item] for item in hashes[shopper].tolist() if item in self._row_of]
            recall[shopper] = chance[found].sum()
            best[shopper] = np.partition(chance, -K)[-K:].sum()
        return recall, best

    def _slate(self, shopper: int) -> tuple[RecommendedItem, ...]:
        """What the product shows the shopper now; nothing to one that it does not know."""
        engine = self.engine
        user = self._users[shopper]
        if user not in engine.learning.states:
            return ()
        answer = engine.recommender.recommend(
            engine.state_of(user, user_hash=self._hashes[shopper : shopper + 1]),
            now_ms=np.array([self.now_ms], np.int64),
            seeds=np.array([stable_hash(f"{self.config.seed}-{self.views}")], np.int64).view(np.uint64),
            plan=_ONE,
            deep=engine.deep_serves,
        )
        rows = answer.items[0]
        items = [
            self._world.catalogue.items[self._row_of[item]].item_id
            for item in engine.sources.catalogue.hashes[rows[rows > 0]].tolist()
        ]
        propensities = answer.propensities[0].tolist()
        scores = answer.scores[0].tolist()
        self._outcomes.recommended(
            Recommended(
                rec_id=str(self.views),
                user=int(self._hashes[shopper]),
                at_ms=self.now_ms,
                context=int(answer.contexts[0]),
                arm=int(answer.arms[0]),
                arm_propensity=float(answer.arm_propensities[0]),
                items=tuple(stable_hash(item) for item in items),
                propensities=tuple(propensities[: len(items)]),
            )
        )
        return tuple(
            RecommendedItem(item_id=ItemId(item), score=scores[at], slot=at, propensity=propensities[at])
            for at, item in enumerate(items)
        )

    def _take(self, event: AnyUserEvent) -> None:
        self.events += 1
        if self.frozen == "everything":
            return
        engine = self.engine
        kind = KIND_OF[event.__class__]
        if event.rec_id is not None and kind is not Kind.PAD:
            items = tuple(stable_hash(item.item_id) for item in event.items)
            self._outcomes.happened(event.rec_id, items=items, kind=kind, at_ms=event.occurred_at)
        for joined in self._outcomes.advance(event.occurred_at):
            if self.frozen == "models":
                continue
            slate = joined.recommended
            engine.bandit.update(slate.context, arm=slate.arm, reward=joined.reward)
        engine.take([event])
