"""Headwater as a contender: rows become the events that a storefront sends, questions go to `recommend()`.

What answers and learns are the product's own recommender and learner, in process (engine.py). With the gate of
the transformer closed the wide part serves, as in production. Settings are the product's, the same for every
stream; the benchmark only asks for slates of 20 and, but for `headwater-slate`, for no chance and no diversity.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.prequential.engine import Engine
from bench.prequential.variants import Variant
from events.ids import ItemId, UserId, stable_hash
from events.types import (
    AddToCart,
    AnyUserEvent,
    Item,
    Purchase,
    Refund,
    RemoveFromCart,
    SelectItem,
    ViewItem,
    ViewItemList,
)
from index.sources.assembly import NAMES
from load.columns import ga4_name
from load.prequential.contender import Query, Repeat, StreamInfo, Unit
from serving.overload import Plan
from serving.recommender import Recommendations
from streams.publisher import Record
from streams.settings import Settings

SLATE = 20
_STRUCTS: dict[str, Any] = {
    "view_item_list": ViewItemList,
    "select_item": SelectItem,
    "view_item": ViewItem,
    "add_to_cart": AddToCart,
    "remove_from_cart": RemoveFromCart,
    "purchase": Purchase,
    "refund": Refund,
}
_DEFAULT = {"basket": "purchase", "session": "view_item", "event": "view_item"}
_WITH_TRANSFORMER = Plan(deep_users=1, candidates_share=1.0)


def benchmark_settings(settings: Settings, *, variant: Variant, seed: int) -> Settings:
    """The product's settings, asked for 20 items; pure ranking, unless the diversity layer is to be measured;
    and the variant's sources."""
    serving: dict[str, Any] = {"slate_size": SLATE}
    if not variant.slate:
        serving["temperature"] = 0.0
    learner = {"seed": seed, "deep": settings.learner.deep and variant.deep}
    use = {*settings.sources.use, variant.also} - {"", variant.without}
    sources = {"use": tuple(name for name in NAMES if name in use)}
    return settings.updated(serving=serving, learner=learner, sources=sources)


class Headwater:
    """The contender. `vectors` are records of the topic item-vectors with the times from which they may be
    known, by time: what the encoder made of the catalogue. `engine`: other than the variant's own."""

    def __init__(
        self,
        info: StreamInfo,
        *,
        name: str,
        variant: Variant,
        settings: Settings,
        vectors: Sequence[tuple[int, Record]] = (),
        engine: Engine | None = None,
    ) -> None:
        self.name = name
        self.engine = engine or Engine(settings, variant=variant)
        self._info = info
        self._codes = {stable_hash(item): code for code, item in enumerate(info.item_names)}
        self._user_hashes = np.array([stable_hash(user) for user in info.user_names], np.int64)
        self._structs = _structs_of(info)
        self._vectors = iter(vectors)
        self._next = next(self._vectors, None)
        self._rewarded = variant.slate
        self._answer: Recommendations | None = None

    def recommend(self, query: Query, /, *, k: int) -> NDArray[np.int64]:
        """See Contender."""
        self._catalogue_until(query.at_ms)
        user_hash = self._user_hashes[query.user : query.user + 1]
        states = self.engine.state_of(UserId(self._info.user_names[query.user]), user_hash=user_hash)
        self._answer = self.engine.recommender.recommend(
            states,
            now_ms=np.array([query.at_ms], np.int64),
            seeds=user_hash.view(np.uint64) ^ np.uint64(query.index),
            plan=_WITH_TRANSFORMER,
            deep=self.engine.deep_serves,
        )
        return self.codes(self._answer.items[0])[:k]

    def codes(self, rows: NDArray[np.int32]) -> NDArray[np.int64]:
        """The stream's codes of item rows, padding left out."""
        hashes = self.engine.sources.catalogue.hashes[rows[rows > 0]].tolist()
        return np.array([self._codes[item] for item in hashes], np.int64)

    def learn(self, unit: Unit, /) -> None:
        """See Contender."""
        if self._rewarded and self._answer is not None:
            self._reward(unit, self._answer)
        self.engine.take(self._events(unit))

    def see(self, repeat: Repeat, /) -> None:
        """See Contender; what the product makes of it is its own affair."""
        self.engine.take(self._events(repeat))

    def _events(self, unit: Unit | Repeat) -> list[AnyUserEvent]:
        """The rows as events: one for each kind of event among them."""
        info = self._info
        events: list[AnyUserEvent] = []
        kinds = info.event[unit.rows]
        for kind in dict.fromkeys(kinds.tolist()):
            rows = np.flatnonzero(kinds == kind) + unit.rows.start
            struct = self._structs[kind]
            event: AnyUserEvent = struct(
                event_id=f"{unit.rows.start}-{kind}",
                occurred_at=unit.at_ms,
                user_id=UserId(info.user_names[unit.user]),
                session_id=f"s{unit.session}" if info.protocol == "session" else None,
                items=tuple(self._item(row) for row in rows.tolist()),
            )
            events.append(event)
        return events

    def _item(self, row: int) -> Item:
        info = self._info
        price = None if info.price is None else float(info.price[row])
        quantity = 1.0 if info.qty is None else float(info.qty[row])
        return Item(
            item_id=ItemId(info.item_names[info.item[row]]),
            quantity=max(1, round(abs(quantity))) if np.isfinite(quantity) else 1,
            price=price if price is not None and np.isfinite(price) and price >= 0 else None,
        )

    def _reward(self, unit: Unit, answer: Recommendations) -> None:
        """The diversity bandit learns whether the slate held anything of what was taken then."""
        rows = answer.items[0]
        shown = self.engine.sources.catalogue.hashes[rows[rows > 0]].tolist()
        taken = set(unit.items.tolist())
        reward = float(any(self._codes[item] in taken for item in shown))
        self.engine.bandit.update(int(answer.contexts[0]), arm=int(answer.arms[0]), reward=reward)

    def _catalogue_until(self, at_ms: int) -> None:
        """Catalogue records that are older than the question."""
        while self._next is not None and self._next[0] < at_ms:
            self.engine.take_item(self._next[1])
            self._next = next(self._vectors, None)


def _structs_of(info: StreamInfo) -> list[Any]:
    """The event struct of each of the file's words; what GA4 has no name for is what the protocol is about."""
    return [_STRUCTS[ga4_name(word) or _DEFAULT[info.protocol]] for word in info.event_names]
