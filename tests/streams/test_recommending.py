"""One micro-batch at a time: what the agent writes, what it says, and what happens when it is told twice."""

import asyncio
from collections.abc import Collection, Sequence

import pytest

from events.codec import encode, encode_envelope
from events.types import AnyUserEvent, Item, ViewItemList
from serving.errors import StaleWriter
from serving.memory_store import MemoryStore
from serving.ports import PartitionWrite, StoredBatch, UserAt
from streams.publisher import Record
from streams.recommending import Publish
from tests.storefront import purchase, view
from tests.streams.recommenders import KEYS, PARTITIONS, Shop, make_shop, slates_in

pytestmark = pytest.mark.usefixtures("compiled")

EVENTS: list[AnyUserEvent] = [
    purchase("ann", "kettle", "teapot", number=1),
    purchase("bob", "kettle", "teapot", number=2),
    view("cem", "kettle", number=3),
    view("dee", "lamp", number=4),
    view("cem", "lamp", number=5),
]


def learnt_shop(*, pending_max: int = 3) -> Shop:
    shop = make_shop(pending_max=pending_max)
    shop.following.learn(EVENTS)
    return shop


def state(shop: Shop, user: str) -> bytes | None:
    async def read() -> StoredBatch:
        return await shop.store.read([(KEYS.partition(user), user)])

    return asyncio.run(read()).states[0]


def process(shop: Shop, records: Sequence[object], *, behind: bool = False) -> list[Record]:
    late = range(PARTITIONS) if behind else ()
    return asyncio.run(shop.agent.process(records, behind=late))  # type: ignore[arg-type]


def pending(shop: Shop, partition: int) -> list[str]:
    return asyncio.run(shop.store.pending(partition, limit=100))


def test_last_event_of_each_user_in_the_batch_makes_one_slate() -> None:
    shop = learnt_shop()
    records = shop.records(EVENTS)
    slates = slates_in(process(shop, records))
    assert [slate.user_id for slate in slates] == ["ann", "bob", "cem", "dee"]
    cem = slates[2]
    assert cem.seen_offsets[f"clicks-{records[4].partition}"] == max(
        r.offset for r in records if r.partition == records[4].partition and r.topic == "clicks"
    )


def test_slate_in_the_store_is_the_one_that_is_published_on_the_users_partition() -> None:
    shop = learnt_shop()
    for record in process(shop, shop.records(EVENTS)):
        assert record.key is not None
        assert asyncio.run(shop.store.slate(record.key.decode())) == record.value
        assert record.partition == KEYS.partition(record.key.decode())


def test_redelivered_batch_repeats_its_slates_and_changes_no_state() -> None:
    shop = learnt_shop()
    records = shop.records(EVENTS)
    first = slates_in(process(shop, records))
    before = [state(shop, user) for user in ("ann", "bob", "cem", "dee")]
    again = slates_in(process(shop, records))
    assert [s.rec_id for s in again] == [s.rec_id for s in first]
    assert [s.items for s in again] == [s.items for s in first]
    assert [state(shop, user) for user in ("ann", "bob", "cem", "dee")] == before
    assert shop.value("headwater_duplicates_total", topic="clicks") == 3
    assert shop.value("headwater_events_total", topic="clicks") == 3


def test_batch_delivered_again_in_other_pieces_changes_no_state() -> None:
    whole, pieces = learnt_shop(), learnt_shop()
    records = whole.records(EVENTS)
    process(whole, records)
    for start, stop in [(0, 2), (1, 4), (0, 3), (3, 5), (2, 5)]:
        process(pieces, records[start:stop])
    for user in ("ann", "bob", "cem", "dee"):
        assert state(pieces, user) == state(whole, user)


def test_records_that_come_again_behind_waiting_ones_in_one_batch_count_once() -> None:
    # More of them than the event ids that a state remembers.
    once, again = learnt_shop(), learnt_shop()
    clicks = [view("cem", f"item-{number}", number=number) for number in range(100)]
    records = once.records(clicks)
    process(once, records)
    process(again, records[:30])
    process(again, [*records[30:80], *records[10:]])
    assert state(again, "cem") == state(once, "cem")
    assert again.value("headwater_events_total", topic="clicks") == 100


def test_poison_is_set_aside_with_its_bytes_and_never_comes_back() -> None:
    shop = learnt_shop()
    poison = shop.record("clicks", b"cem", b"\xff{not json")
    good = shop.records([view("cem", "kettle", number=9)])
    made = process(shop, [poison, *good])
    letters = [record for record in made if record.topic == "dead-letters"]
    assert [(one.key, one.value) for one in letters] == [(b"cem", b"\xff{not json")]
    assert dict(letters[0].headers)["hw-source-offset"] == str(poison.offset).encode()
    assert [s.user_id for s in slates_in(made)] == ["cem"]
    applied = asyncio.run(shop.store.applied([poison.partition]))
    assert applied[poison.partition]["clicks"] == good[-1].offset


def test_batch_of_poison_alone_moves_the_watermark() -> None:
    shop = learnt_shop()
    poison = shop.record("carts", b"cem", b"")
    made = process(shop, [poison])
    assert [record.topic for record in made] == ["dead-letters"]
    assert asyncio.run(shop.store.applied([poison.partition]))[poison.partition] == {"carts": 0}


def test_envelope_keeps_its_good_events() -> None:
    shop = learnt_shop()
    good, bad = view("cem", "kettle", number=9), view("cem", "lamp", number=10)
    raw = encode_envelope([good, bad]).replace(b'"lamp"', b'""')
    made = process(shop, [shop.record("clicks", b"cem", raw)])
    [letter] = [record for record in made if record.topic == "dead-letters"]
    assert letter.value == encode(bad).replace(b'"lamp"', b'""')
    assert dict(letter.headers)["hw-event-index"] == b"1"
    assert [s.user_id for s in slates_in(made)] == ["cem"]


def test_list_that_is_shown_asks_for_no_new_slate_but_is_noted() -> None:
    shop = learnt_shop()
    shown = ViewItemList(
        event_id="e",
        occurred_at=EVENTS[0].occurred_at,
        user_id=EVENTS[0].user_id,
        items=(Item(item_id="lamp"),),  # type: ignore[arg-type]
    )
    assert process(shop, shop.records([shown])) == []
    assert state(shop, "ann") is not None


def test_behind_states_move_and_slates_wait_until_catch_up() -> None:
    shop, ahead = learnt_shop(), learnt_shop()
    records = shop.records(EVENTS)
    assert process(shop, records, behind=True) == []
    process(ahead, records)
    waiting = {user for at in range(PARTITIONS) for user in pending(shop, at)}
    assert waiting == {"ann", "bob", "cem", "dee"}
    for user in sorted(waiting):
        assert state(shop, user) == state(ahead, user)
        assert asyncio.run(shop.store.slate(user)) is None
    served = 0
    for partition in range(PARTITIONS):
        while found := asyncio.run(shop.agent.catch_up(partition, publish=shop.publish)):
            served += found
        assert pending(shop, partition) == []
    assert served == 4
    mine = {s.user_id: (s.rec_id, s.items) for s in slates_in(shop.published)}
    theirs = {
        user: (s.rec_id, s.items)
        for user in waiting
        for s in slates_in([Record("recommendations", None, asyncio.run(ahead.store.slate(user)))])
    }
    assert mine == theirs
    place = ("clicks", KEYS.partition("cem"))
    [cem] = [slate for slate in slates_in(shop.published) if slate.user_id == "cem"]
    assert cem.seen_offsets["-".join(map(str, place))] == max(
        record.offset for record in records if (record.topic, record.partition) == place
    )


def test_waiting_users_are_served_a_few_at_a_time_the_latest_first() -> None:
    shop = learnt_shop(pending_max=2)
    users = [name for name in (f"u{n}" for n in range(100)) if KEYS.partition(name) == 1][:5]
    events = [view(user, "kettle", number=20 + n) for n, user in enumerate(users)]
    process(shop, shop.records(events), behind=True)
    served = []
    while asyncio.run(shop.agent.catch_up(1, publish=shop.publish)):
        served.append([s.user_id for s in slates_in(shop.published)])
        shop.published.clear()
    assert served == [users[:2:-1], users[2:0:-1], users[:1]]


def test_user_waits_until_the_broker_has_the_slate() -> None:
    shop = learnt_shop()
    process(shop, shop.records(EVENTS[2:3]), behind=True)
    partition = KEYS.partition("cem")

    async def broker_is_gone(_: Sequence[Record]) -> None:
        raise ConnectionError("no broker")

    refuse: Publish = broker_is_gone
    with pytest.raises(ConnectionError):
        asyncio.run(shop.agent.catch_up(partition, publish=refuse))
    assert pending(shop, partition) == ["cem"]
    assert asyncio.run(shop.agent.catch_up(partition, publish=shop.publish)) == 1
    assert [s.user_id for s in slates_in(shop.published)] == ["cem"]
    assert asyncio.run(shop.agent.catch_up(partition, publish=shop.publish)) == 0


def test_click_that_is_answered_in_time_ends_the_wait() -> None:
    shop = learnt_shop()
    process(shop, shop.records(EVENTS[2:3]), behind=True)
    process(shop, shop.records([view("cem", "lamp", number=30)]))
    assert pending(shop, KEYS.partition("cem")) == []


class OvertakenStore(MemoryStore):
    """A store in which another worker is quicker, `times` times."""

    def __init__(self, *, times: int) -> None:
        super().__init__(KEYS)
        self.times = times
        self.reads = 0

    async def read(self, users: Sequence[UserAt], *, partitions: Collection[int] = ()) -> StoredBatch:
        self.reads += 1
        found = await super().read(users, partitions=partitions)
        if self.times:
            self.times -= 1
            for partition in partitions:
                at = found.applied[partition].get("searches", -1)
                other = PartitionWrite(
                    partition=partition,
                    batch_id=f"other-{self.times}",
                    expected=dict(found.applied[partition]),
                    applied={"searches": at + 1},
                )
                await super().write([other])
        return found


def test_overtaken_by_another_writer_it_reads_again_and_goes_on() -> None:
    store = OvertakenStore(times=2)
    shop = make_shop(store=store)
    [slate] = slates_in(process(shop, shop.records(EVENTS[2:3])))
    assert slate.seen_offsets[f"searches-{KEYS.partition('cem')}"] == 1
    assert store.reads == 3
    alone = make_shop()
    process(alone, alone.records(EVENTS[2:3]))
    assert state(shop, "cem") == state(alone, "cem")


def test_overtaken_for_ever_it_gives_up_and_changes_nothing() -> None:
    shop = make_shop(store=OvertakenStore(times=100))
    with pytest.raises(StaleWriter):
        process(shop, shop.records(EVENTS[2:3]))
    assert state(shop, "cem") is None


def test_state_that_cannot_be_read_starts_anew() -> None:
    shop = learnt_shop()
    partition = KEYS.partition("cem")
    damaged = PartitionWrite(
        partition=partition, batch_id="x", expected={}, applied={"searches": 0}, states={"cem": b"damaged!"}
    )
    asyncio.run(shop.store.write([damaged]))
    [slate] = slates_in(process(shop, shop.records(EVENTS[2:3])))
    assert slate.items
    assert state(shop, "cem") not in (None, b"damaged!")
