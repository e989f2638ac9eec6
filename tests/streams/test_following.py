import logging

import numpy as np
import pytest

from events.codec import encode
from events.ids import ItemId, stable_hash
from events.item_vector import ItemVector, encode_item_vector
from index.sources.source_set import SourceSet
from streams.log_reader import LogRecord
from tests.storefront import view
from tests.streams.recommenders import NOW_MS, make_shop

pytestmark = pytest.mark.usefixtures("compiled")
DIM = 8


def vector(
    item_id: str, *, at: int = 0, encoder: str = "test-encoder", dim: int = DIM, available: bool = True
) -> bytes:
    unit = np.zeros(dim, "<f2")
    unit[at % dim] = 1.0
    item = ItemVector(
        item_id=ItemId(item_id),
        title=item_id,
        vector=unit.tobytes(),
        encoder=encoder,
        first_ms=NOW_MS,
        available=available,
    )
    return encode_item_vector(item)


def item_record(item_id: str, value: bytes | None, *, offset: int = 0) -> LogRecord:
    return LogRecord("item-vectors", 0, offset, NOW_MS, item_id.encode(), value)


def row(sources: SourceSet, item_id: str) -> int:
    return int(sources.items.lookup(np.array([stable_hash(item_id)]))[0])


def test_events_of_all_partitions_teach_the_sources() -> None:
    shop = make_shop()
    events = [view(f"u{n}", "lamp", number=n) for n in range(9)]
    shop.following.handle(shop.records(events))
    assert shop.value("headwater_source_events_total") == 9
    sources = shop.following.sources
    assert sources.popularity.best[0, 0] == row(sources, "lamp") > 0
    assert sources.catalogue.ids[row(sources, "lamp")] == "lamp"


def test_poison_teaches_nothing_and_stops_nothing() -> None:
    shop = make_shop()
    poison = shop.record("clicks", b"u", b"\xff")
    good = shop.record("clicks", b"u", encode(view("u", "lamp", number=1)))
    shop.following.handle([poison, good])
    assert shop.value("headwater_source_events_total") == 1


def test_item_is_known_searchable_and_then_gone() -> None:
    shop = make_shop()
    shop.following.handle(
        [item_record("lamp", vector("lamp")), item_record("mug", vector("mug", at=1), offset=1)]
    )
    sources, index = shop.following.sources, shop.following.index
    assert len(index) == 2
    assert shop.value("headwater_index_items") == 2
    shop.following.handle([item_record("lamp", None, offset=2)])
    assert len(index) == 1
    assert sources.catalogue.removed[row(sources, "lamp")]
    shop.following.handle([item_record("never-seen", None, offset=3)])
    assert len(index) == 1


def test_item_out_of_stock_is_known_but_not_available() -> None:
    shop = make_shop()
    shop.following.handle([item_record("lamp", vector("lamp", available=False))])
    sources = shop.following.sources
    assert not sources.catalogue.available[row(sources, "lamp")]


def test_vectors_of_another_encoder_are_left_out_and_told_of_once(caplog: pytest.LogCaptureFixture) -> None:
    shop = make_shop()
    strange = [
        item_record("lamp", vector("lamp", encoder="other")),
        item_record("mug", vector("mug", dim=4), offset=1),
    ]
    with caplog.at_level(logging.ERROR):
        shop.following.handle(strange)
    assert len(shop.following.index) == 0
    assert row(shop.following.sources, "lamp") > 0  # known, without its text
    assert len([r for r in caplog.records if "are left out" in r.getMessage()]) == 1


def test_damaged_item_record_is_left_out() -> None:
    shop = make_shop()
    shop.following.handle([item_record("lamp", b"\xc1junk"), item_record("mug", vector("mug"), offset=1)])
    assert row(shop.following.sources, "lamp") == 0
    assert row(shop.following.sources, "mug") > 0


def test_a_duplicate_moves_no_source_and_is_told() -> None:
    once, twice = make_shop(), make_shop()
    events = [view(f"u{n}", f"item-{n % 3}", number=n) for n in range(12)]
    once.following.handle(once.records(events))
    twice.following.handle(twice.records([*events, *events[:7]]))
    assert twice.value("headwater_anomalies_total", kind="duplicate") == 7
    keys = [shop.following.sources.popularity.keys.tolist() for shop in (once, twice)]
    assert keys[0] == keys[1]


def test_a_bot_beyond_its_budget_moves_no_source_and_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    short, long = make_shop(), make_shop()
    bot = [view("bot", "bot-item", number=n, at_ms=NOW_MS - 100_000 + n) for n in range(4_000)]
    others = [view(f"u{n}", f"item-{n % 3}", number=10_000 + n, at_ms=NOW_MS - 50_000 + n) for n in range(12)]
    short.following.handle(short.records([*bot[:2_000], *others]))
    with caplog.at_level(logging.WARNING):
        long.following.handle(long.records([*bot, *others]))
    assert long.value("headwater_anomalies_total", kind="over-budget") == 2_000
    assert sum("more than anybody means" in line.message for line in caplog.records) == 1
    assert not any("bot" in str(vars(line).get("fields")) for line in caplog.records)
    for name in ("keys", "best"):
        mine = [getattr(shop.following.sources.popularity, name).tolist() for shop in (short, long)]
        assert mine[0] == mine[1]


def test_vectors_that_are_no_numbers_stop_nothing() -> None:
    shop = make_shop()
    broken = [
        ItemVector(item_id=ItemId("a"), title="a", vector=b"\x00" * 3, encoder="test-encoder"),
        ItemVector(item_id=ItemId("b"), title="b", vector=b"\xff\x7f" * DIM, encoder="test-encoder"),
        ItemVector(item_id=ItemId("c"), title="c", vector=b"", encoder="test-encoder", price=float("inf")),
        ItemVector(item_id=ItemId(""), title="d", vector=b"", encoder="test-encoder"),
    ]
    shop.following.handle([item_record(str(n), encode_item_vector(item)) for n, item in enumerate(broken)])
    shop.following.handle([item_record("lamp", vector("lamp"), offset=9)])
    assert shop.value("headwater_index_items") == 1


def test_who_is_forgotten_for_want_of_room_is_counted_and_told_of_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    shop = make_shop()
    room = shop.following.sources.items.capacity
    with caplog.at_level(logging.WARNING):
        shop.following.handle(shop.records([view("u", f"i{n}", number=n) for n in range(room - 1)]))
        assert not caplog.records
        for start in (room, 2 * room):
            more = [view("u", f"i{n}", number=n) for n in range(start, start + room // 2)]
            shop.following.handle(shop.records(more))
    assert shop.value("headwater_source_evictions_total", what="items") >= room - 1
    assert [record.getMessage() for record in caplog.records if "sources.items" in record.getMessage()] == [
        "the sources are full of items: the least recently used are forgotten from here on. Set sources.items "
        "higher, which takes memory (docs/limits.md)"
    ]
