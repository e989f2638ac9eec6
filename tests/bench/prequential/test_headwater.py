"""The product as a contender: it answers from what it has learnt, and only from that."""

from dataclasses import replace

import numpy as np
import pytest

from bench.prequential.engine import RankedOnce
from bench.prequential.headwater import Headwater, benchmark_settings
from bench.prequential.variants import variant_of
from events.columns import Kind
from events.ids import UserId
from events.item_vector import ItemVector, encode_item_vector
from events.topics import Topic
from events.types import AddToCart, Purchase, ViewItem
from load.prequential.contender import Query, Repeat, StreamInfo, Unit
from load.prequential.prepared import Prepared
from load.prequential.running import Run, run_contender
from models.ranker import Ranker
from streams.publisher import Record
from streams.settings import Settings
from tests.bench.prequential.shop import UNITS, contender, first_query, recall
from tests.load.prequential.streams import START_MS, Popular


@pytest.fixture(scope="module")
def wide(prepared: Prepared, small: Settings) -> Run:
    return run_contender(lambda: contender(prepared.info, small), units=prepared.units, info=prepared.info)


def test_it_learns_a_planted_taste_and_beats_popularity(prepared: Prepared, wide: Run) -> None:
    popular = run_contender(lambda: Popular(prepared.info), units=prepared.units, info=prepared.info)
    ours, theirs = (recall(run, prepared)[UNITS // 2 :].mean() for run in (wide, popular))
    assert ours > theirs + 0.2
    assert ours > 0.45  # three of each basket's four items are of the buyer's six


def test_the_same_stream_and_seed_give_the_same_lists(prepared: Prepared, small: Settings, wide: Run) -> None:
    again = run_contender(lambda: contender(prepared.info, small), units=prepared.units, info=prepared.info)
    assert (again.lists == wide.lists).all()


def test_ranking_once_for_question_and_lesson_changes_nothing(
    prepared: Prepared, small: Settings, wide: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The memory of the last ranking is only that: without it every list is the same."""
    calls = []
    whole = RankedOnce.rank

    def forgetful(self: RankedOnce, states, **options):  # type: ignore[no-untyped-def]
        self.forget()
        calls.append(1)
        return whole(self, states, **options)

    monkeypatch.setattr(RankedOnce, "rank", forgetful)
    again = run_contender(lambda: contender(prepared.info, small), units=prepared.units, info=prepared.info)
    assert len(calls) == 2 * UNITS
    assert (again.lists == wide.lists).all()


def test_what_was_served_is_not_scored_again_before_it_is_learnt(
    prepared: Prepared, small: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    score = Ranker.wide_scores

    def counted(self: Ranker, view):  # type: ignore[no-untyped-def]
        calls.append(1)
        return score(self, view)

    ours = contender(prepared.info, small)
    monkeypatch.setattr(Ranker, "wide_scores", counted)
    for unit in prepared.units:
        if unit.index == 40:
            ours.engine.recommender.trained = True
            calls.clear()
        ours.recommend(first_query(unit), k=20)
        ours.learn(unit)
        if unit.index == 49:
            break
    assert len(calls) == 10


def test_what_was_learnt_is_known_at_the_next_question(prepared: Prepared, small: Settings) -> None:
    ours = contender(prepared.info, small)
    units = iter(prepared.units)
    first = next(units)
    assert len(ours.recommend(first_query(first), k=20)) == 0
    ours.learn(first)
    answer = ours.recommend(replace_query(first, at_ms=first.at_ms + 1), k=20)
    assert set(answer.tolist()) == set(first.items.tolist())
    assert not ours.engine.learning._pending


def replace_query(unit: Unit, *, at_ms: int) -> Query:
    return replace(first_query(unit), at_ms=at_ms)


def test_rows_become_the_events_that_a_storefront_sends(small: Settings) -> None:
    info = StreamInfo(
        n_items=3,
        n_users=1,
        n_sessions=2,
        n_units=3,
        protocol="session",
        ts=np.array([START_MS] * 3),
        item=np.array([0, 1, 2]),
        user=np.zeros(3, np.int64),
        event=np.array([0, 1, 2], np.int16),
        event_names=["view", "addtocart", "transaction"],
        qty=np.array([np.nan, 3.0, -2.0], np.float32),
        price=np.array([1.5, np.nan, -1.0], np.float32),
        user_names=["ann"],
        item_names=["a", "b", "c"],
    )
    ours = contender(info, small)
    made = [ours._events(Unit(at, START_MS + at, 0, 1, np.array([at]), slice(at, at + 1))) for at in range(3)]
    assert [type(events[0]) for events in made] == [ViewItem, AddToCart, Purchase]
    assert [len(events) for events in made] == [1, 1, 1]
    view, cart, bought = (events[0] for events in made)
    assert (view.user_id, view.session_id, view.occurred_at) == ("ann", "s1", START_MS)
    assert (view.items[0].item_id, view.items[0].price, view.items[0].quantity) == ("a", 1.5, 1)
    assert (cart.items[0].price, cart.items[0].quantity) == (None, 3)
    assert (bought.items[0].price, bought.items[0].quantity) == (None, 2)
    assert len({event.event_id for events in made for event in events}) == 3


def test_a_cart_right_after_its_view_reaches_the_product_and_is_no_unit(small: Settings) -> None:
    info = StreamInfo(
        n_items=2,
        n_users=1,
        n_sessions=1,
        n_units=2,
        protocol="session",
        ts=np.array([START_MS, START_MS + 1, START_MS + 2]),
        item=np.array([0, 0, 1]),
        user=np.zeros(3, np.int64),
        event=np.array([0, 1, 0], np.int16),
        event_names=["view", "addtocart"],
        qty=None,
        price=None,
        user_names=["ann"],
        item_names=["a", "b"],
    )
    ours = contender(info, small)
    ours.learn(Unit(0, START_MS, 0, 0, np.array([0]), slice(0, 1)))
    units = ours.engine.learning._waiting_units()
    events = ours.engine.state_of(UserId("ann"), user_hash=ours._user_hashes[:1]).events
    ours.see(Repeat(START_MS + 1, 0, 0, np.array([0]), slice(1, 2)))
    assert ours.engine.learning._waiting_units() == units
    state = ours.engine.state_of(UserId("ann"), user_hash=ours._user_hashes[:1])
    assert state.events.tolist() == [events[0] + 1]
    assert Kind.CART in state.session_kinds[0]


def test_a_catalogue_item_is_recommended_only_when_its_time_is_past(
    prepared: Prepared, small: Settings
) -> None:
    info = replace(
        prepared.info, item_names=[*prepared.info.item_names, "fresh"], n_items=prepared.info.n_items + 1
    )
    vector = np.ones(384, np.float16) / 384**0.5
    known_from = int(prepared.units.at_ms[20])
    described = ItemVector(
        item_id="fresh",  # type: ignore[arg-type]
        title="a fresh thing",
        vector=vector.astype("<f2").tobytes(),
        encoder=small.learner.encoder,
        price=1.0,
        available=True,
        category="",
        brand="",
        consumable=False,
        first_ms=known_from,
    )
    record = Record(Topic.ITEM_VECTORS.value, b"fresh", encode_item_vector(described))
    variant = variant_of("headwater-wide")
    ours = Headwater(
        info,
        name="headwater-wide",
        variant=variant,
        settings=benchmark_settings(small, variant=variant, seed=7),
        vectors=[(known_from, record)],
    )
    rows = []
    for unit in prepared.units:
        ours.recommend(first_query(unit), k=20)
        rows.append("fresh" in ours.engine.sources.catalogue.ids)
        ours.learn(unit)
        if unit.index == 25:
            break
    assert rows == [False] * 21 + [True] * 5  # not at that very moment, which is unit 20
