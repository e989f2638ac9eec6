"""States that lack events are replayed to the same bytes, wherever the replay is cut off; slates go on meanwhile."""

import asyncio
from collections.abc import Collection, Mapping, Sequence

import pytest

from events.types import AnyUserEvent
from serving.errors import StoreUnavailable
from serving.memory_store import MemoryStore
from serving.ports import PartitionWrite, StoredBatch, UserAt
from streams.log_reader import LogRecord
from streams.rebuilding import Rebuilding
from tests.storefront import cart, purchase, view
from tests.streams.recommenders import KEYS, PARTITIONS, TOPICS, Shop, make_shop, slates_in

pytestmark = pytest.mark.usefixtures("compiled")
USERS = [f"user-{number}" for number in range(12)]


class FailingStore(MemoryStore):
    """A store that can lose everything, be away, and lose everything after some more writes."""

    def __init__(self) -> None:
        super().__init__(KEYS)
        self.away = False
        self.lose_after = -1

    def lose(self) -> None:
        super().__init__(KEYS)

    async def read(self, users: Sequence[UserAt], *, partitions: Collection[int] = ()) -> StoredBatch:
        self._answer()
        return await super().read(users, partitions=partitions)

    async def write(self, writes: Sequence[PartitionWrite]) -> None:
        self._answer()
        await super().write(writes)
        self.lose_after -= 1
        if self.lose_after == 0:
            self.lose()

    async def applied(self, partitions: Collection[int]) -> dict[int, dict[str, int]]:
        self._answer()
        return await super().applied(partitions)

    def _answer(self) -> None:
        if self.away:
            raise StoreUnavailable("no answer")


class ListLog:
    """A partition's log in memory."""

    def __init__(self, records: Sequence[LogRecord], *, partition: int, start: Mapping[str, int]) -> None:
        self._records = [
            record
            for record in records
            if record.partition == partition and record.offset >= start[record.topic]
        ]
        self._reached = dict(start)

    def take(self, limit: int) -> list[LogRecord]:
        taken, self._records = self._records[: min(limit, 3)], self._records[min(limit, 3) :]
        self._reached.update({record.topic: record.offset + 1 for record in taken})
        return taken

    def reached(self) -> dict[str, int]:
        return dict(self._reached)

    def left(self) -> int:
        return len(self._records)

    def close(self) -> None:
        self._records = []


def history() -> list[AnyUserEvent]:
    """Events of several kinds of every user, in order of time."""
    makers = (view, purchase, cart)
    return [
        makers[number % 3](USERS[number * 7 % len(USERS)], f"item-{number % 9}", number=number)
        for number in range(120)
    ]


class Lost:
    """A shop with a history, whose store then fails; or the next worker on such a shop's store and log."""

    def __init__(self, *, after: "Lost | None" = None, give_up_s: float = 30.0) -> None:
        self.store: FailingStore = FailingStore() if after is None else after.store
        self.shop: Shop = make_shop(store=self.store)
        if after is None:
            self.log = self.shop.records(history())
            self.process(self.log)
        else:
            self.log = after.log
            committed = {(r.topic, r.partition): r.offset + 1 for r in self.log}
            self.shop.continuity.committed(committed)  # as Kafka tells at an assignment
        self.before = self.states()
        self.rebuilding = Rebuilding(
            self.shop.agent,
            applied=self.store.applied,
            continuity=self.shop.continuity,
            topics=[name for name in TOPICS if name not in ("item-vectors", "adapters")],
            open_log=lambda *, partition, start: ListLog(self.log, partition=partition, start=start),  # type: ignore[arg-type]
            owned=lambda: frozenset(range(PARTITIONS)),
            metrics=self.shop.metrics,
            give_up_s=give_up_s,
        )

    def process(self, records: Sequence[LogRecord]) -> list[tuple[str, str, str]]:
        made = asyncio.run(self.shop.agent.process(records))
        return [(slate.user_id, slate.degraded, slate.rec_id) for slate in slates_in(made)]

    def click(self, user: str, *, number: int) -> LogRecord:
        self.log += self.shop.records([view(user, "item-1", number=number)])
        return self.log[-1]

    def states(self) -> list[bytes | None]:
        users = [(KEYS.partition(user), user) for user in USERS]
        return asyncio.run(self.store.read(users)).states

    def look(self) -> None:
        asyncio.run(self.rebuilding.look())

    def lacking(self) -> frozenset[int]:
        return self.shop.continuity.lacking


def test_emptied_store_is_filled_to_the_same_bytes_though_no_event_comes() -> None:
    lost = Lost()
    lost.store.lose()
    lost.look()
    assert lost.lacking() == frozenset()
    assert lost.states() == lost.before
    assert lost.shop.value("headwater_rebuilds_total") == PARTITIONS
    lost.look()
    assert lost.shop.value("headwater_replayed_events_total") == 120


def test_click_meanwhile_gets_a_slate_that_says_so_is_folded_once_and_gets_a_whole_slate_afterwards() -> None:
    lost, twin = Lost(), Lost()
    lost.store.lose()
    user, at = USERS[0], KEYS.partition(USERS[0])
    click = lost.click(user, number=500)
    [(_, degraded, rec_id)] = lost.process([click])
    assert degraded == "rebuilding"
    assert lost.lacking() == {at}
    assert lost.states()[0] is None  # the click alone is no state
    lost.look()
    twin.process([twin.click(user, number=500)])
    assert lost.states() == twin.states()
    assert asyncio.run(lost.shop.agent.catch_up(at, publish=lost.shop.publish)) == 1
    [whole] = slates_in(lost.shop.published)
    assert (whole.user_id, whole.degraded) == (user, "")
    assert whole.rec_id != rec_id


def test_store_away_costs_states_in_slates_and_no_event() -> None:
    lost, twin = Lost(), Lost()
    lost.store.away = True
    clicks = [lost.click(user, number=600 + number) for number, user in enumerate(USERS)]
    assert [degraded for _, degraded, _ in lost.process(clicks)] == ["no-state"] * len(USERS)
    lost.look()  # it is still away
    assert lost.shop.value("headwater_store_away") == 1
    lost.store.away = False
    lost.look()
    assert lost.shop.value("headwater_store_away") == 0
    twin.process([twin.click(user, number=600 + number) for number, user in enumerate(USERS)])
    assert lost.states() == twin.states()
    waiting = {user for at in range(PARTITIONS) for user in asyncio.run(lost.store.pending(at, limit=99))}
    assert waiting == set(USERS)
    [(_, degraded, _)] = lost.process([lost.click(USERS[3], number=700)])
    assert degraded == ""


def test_redelivery_while_the_store_is_away_repeats_the_rec_id() -> None:
    lost = Lost()
    lost.store.away = True
    click = lost.click(USERS[0], number=500)
    assert lost.process([click]) == lost.process([click])


@pytest.mark.parametrize("writes", range(1, 30, 4))
def test_store_emptied_again_in_the_midst_of_a_rebuild(writes: int) -> None:
    lost = Lost()
    lost.store.lose()
    lost.store.lose_after = writes
    for _ in range(3):
        lost.look()
    assert lost.lacking() == frozenset()
    assert lost.states() == lost.before


def test_another_worker_goes_on_where_a_rebuild_was_cut_off() -> None:
    lost = Lost()
    lost.store.lose()
    at = KEYS.partition(USERS[0])
    first = [record for record in lost.log if record.partition == at][:5]
    asyncio.run(lost.shop.agent.replay(at, first, marks={}))
    Lost(after=lost).look()
    assert lost.states() == lost.before


def test_what_is_not_retained_any_more_does_not_hold_up_the_rebuild() -> None:
    lost = Lost(give_up_s=-1.0)
    lost.store.lose()
    at = KEYS.partition(USERS[0])
    lost.log = [record for record in lost.log if record.partition != at]
    lost.look()
    assert lost.lacking() == frozenset()
    assert lost.process([lost.click(USERS[0], number=900)])[0][1] == ""
