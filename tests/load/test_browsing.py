"""One page view: the events of a shopper who looks, clicks, and sometimes buys."""

import numpy as np
import pytest

from events.codec import decode, encode
from events.ids import ItemId, UserId
from events.recommendation import RecommendedItem
from events.topics import TOPIC_OF
from events.types import AddToCart, AnyUserEvent, Purchase, SelectItem, ViewItem, ViewItemList
from load.browsing import Visit, browse, view_slate
from load.invented_catalogue import invent_catalogue
from load.shoppers import chances, examined

CATALOGUE = invent_catalogue(30, rng=np.random.default_rng(0))
VISIT = Visit(UserId("s1"), session_id="s1-1", now_ms=1_300_000_000_000, id_prefix="x-")
SLATE = tuple(
    RecommendedItem(item_id=CATALOGUE.items[row].item_id, score=1.0, slot=row, propensity=1.0)
    for row in range(10)
)
SHOWN = np.arange(10)


def view(appeal: np.ndarray[tuple[int], np.dtype[np.float64]], seed: int) -> list[AnyUserEvent]:
    return list(
        view_slate(
            VISIT,
            rec_id="r1",
            slate=SLATE,
            shown=SHOWN,
            appeal=appeal,
            catalogue=CATALOGUE,
            rng=np.random.default_rng(seed),
        )
    )


def test_the_impression_comes_first_and_every_event_echoes_the_recommendation() -> None:
    events = view(np.full(30, 0.9), seed=1)
    assert isinstance(events[0], ViewItemList)
    assert [item.item_id for item in events[0].items] == [entry.item_id for entry in SLATE]
    assert {event.rec_id for event in events} == {"r1"}
    for event in events[1:]:
        assert isinstance(event, SelectItem | AddToCart | Purchase)
        assert event.slot is not None
        assert event.items[0].item_id == SLATE[event.slot].item_id


def test_every_event_is_one_that_the_codec_takes_under_an_id_of_its_own() -> None:
    events = view(np.full(30, 0.99), seed=2)
    assert len(events) > 5
    assert len({event.event_id for event in events}) == len(events)
    for event in events:
        topic = TOPIC_OF[str(type(event).__struct_config__.tag)]
        assert decode(encode(event), topic=topic, now_ms=VISIT.now_ms, key=b"s1").events == [event]


def test_clicks_follow_the_position_and_the_appeal() -> None:
    appeal = np.linspace(0.9, 0.1, 30)
    clicks = np.zeros(10)
    runs = 4_000
    for seed in range(runs):
        for event in view(appeal, seed):
            if isinstance(event, SelectItem) and event.slot is not None:
                clicks[event.slot] += 1
    assert clicks / runs == pytest.approx(examined(10) * appeal[:10], abs=0.03)
    assert clicks.sum() / runs / 10 == pytest.approx(chances(appeal, shown=SHOWN).slate, rel=0.03)


def test_an_item_of_another_catalogue_is_shown_and_never_clicked() -> None:
    slate = (RecommendedItem(item_id=ItemId("else"), score=1.0, slot=0, propensity=1.0),)
    for seed in range(50):
        events = list(
            view_slate(
                VISIT,
                rec_id="r",
                slate=slate,
                shown=np.array([-1]),
                appeal=np.ones(30),
                catalogue=CATALOGUE,
                rng=np.random.default_rng(seed),
            )
        )
        assert [type(event) for event in events] == [ViewItemList]


def test_browsing_finds_what_is_liked_and_names_no_recommendation() -> None:
    appeal = np.where(np.arange(30) < 3, 0.9, 0.01)
    liked = 0
    for seed in range(300):
        events = list(browse(VISIT, appeal=appeal, catalogue=CATALOGUE, rng=np.random.default_rng(seed)))
        assert isinstance(events[0], ViewItem)
        assert all(event.rec_id is None and event.slot is None for event in events)
        liked += events[0].items[0].item_id in {item.item_id for item in CATALOGUE.items[:3]}
    assert liked > 270
