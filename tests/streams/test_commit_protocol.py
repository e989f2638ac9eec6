"""The commit protocol as a model: read, fold, write, publish, ack, and a crash between any two of them.

The agent is the real one, and so is the store's port; Kafka is a list, a group's committed offsets and a list of
what was published. What must hold is said by the same ledgers that judge `headwater chaos`.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Sequence
from enum import StrEnum

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from events.codec import encode
from events.topics import USER_TOPICS
from events.types import AnyUserEvent
from load.chaos.findings import Verdict, together
from load.chaos.raw_log import RawRecord
from load.chaos.slate_ledger import slate_verdict
from load.chaos.source_log import read_source
from load.chaos.state_ledger import state_verdict
from load.chaos.stored_state import Stored
from load.sender import topic_of
from serving.memory_store import MemoryStore
from serving.ports import PartitionWrite, StoredBatch, UserAt
from streams.log_reader import LogRecord
from streams.publisher import Record
from tests.storefront import purchase, view
from tests.streams.recommenders import KEYS, PARTITIONS, Shop, make_shop

pytestmark = pytest.mark.usefixtures("compiled")

Did = tuple[str, str, bool]  # user, item, and whether it is bought
USERS = ("ann", "bob", "cem")
_HOMES = [(topic.value, partition) for topic in USER_TOPICS for partition in range(PARTITIONS)]


class Crash(Exception):
    """The process is gone."""


class Point(StrEnum):
    """Where a crash may come."""

    BEFORE_READ = "before the read"
    BEFORE_WRITE = "between read and write"
    AFTER_WRITE = "the write is applied, its answer lost"
    BEFORE_PUBLISH = "before anything is published"
    HALF_PUBLISHED = "one record is published"
    BEFORE_ACK = "all is published, nothing acked"


POINTS = st.none() | st.sampled_from(Point)
SOME = st.integers(1, 8)  # records of a partition taken at once
EVENTS = st.lists(
    st.tuples(st.sampled_from(USERS), st.sampled_from("abcd"), st.booleans()), min_size=1, max_size=6
)


class Perilous:
    """The shared store as one owner sees it: it crashes where it is told to, and somebody else may come first."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.point: Point | None = None
        self.meanwhile: Callable[[], Awaitable[None]] | None = None  # happens between the next read and write

    async def read(self, users: Sequence[UserAt], *, partitions: Collection[int] = ()) -> StoredBatch:
        if self.point is Point.BEFORE_READ:
            raise Crash
        return await self._store.read(users, partitions=partitions)

    async def write(self, writes: Sequence[PartitionWrite]) -> None:
        if self.point is Point.BEFORE_WRITE:
            raise Crash
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            await meanwhile()
        await self._store.write(writes)
        if self.point is Point.AFTER_WRITE:
            raise Crash

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)


class Owner:
    """One process: an agent, and how far it has read; both are gone with it."""

    def __init__(self, store: MemoryStore, committed: dict[tuple[str, int], int]) -> None:
        self.store = Perilous(store)
        self.shop: Shop = make_shop(store=self.store)  # type: ignore[arg-type]
        self.next = dict(committed)


class CommitProtocol(RuleBasedStateMachine):
    """Two owners of all partitions, of which the group knows one; the other is one that has not noticed yet."""

    store_type: type[MemoryStore] = MemoryStore
    acks_first = False

    @initialize()
    def begin(self) -> None:
        self.store = self.store_type(KEYS)
        self.log: dict[tuple[str, int], list[LogRecord]] = defaultdict(list)
        self.committed: dict[tuple[str, int], int] = dict.fromkeys(_HOMES, 0)
        self.published: list[Record] = []
        self.numbers = 0
        self.owners = [Owner(self.store, self.committed), Owner(self.store, self.committed)]
        self.current = 0

    @rule(
        who=st.integers(0, 1), what=EVENTS, repeat=st.booleans(), n=SOME, behind=st.booleans(), point=POINTS
    )
    def batch(
        self, who: int, what: list[Did], repeat: bool, n: int, behind: bool, point: Point | None
    ) -> None:
        """Shoppers do something; an owner takes what comes next, and may crash on the way."""
        self._shop(what, repeat=repeat)
        self._run(who, n=n, behind=behind, point=point)

    @rule(what=EVENTS, n=SOME, more=SOME, point=POINTS)
    def race(self, what: list[Did], n: int, more: int, point: Point | None) -> None:
        """Between an owner's read and its write, the group gives all to the other one, which does a whole batch."""

        async def other() -> None:
            self._give_to(1)
            await self._batch(1, n=more, behind=False, point=None)

        self._shop(what, repeat=False)
        self.owners[0].store.meanwhile = other
        self._run(0, n=n, behind=False, point=point)
        self.owners[0].store.meanwhile = None

    @rule(point=st.none() | st.sampled_from([Point.BEFORE_PUBLISH, Point.BEFORE_WRITE, Point.AFTER_WRITE]))
    def serve_waiting(self, point: Point | None) -> None:
        """The current owner makes slates for those who wait."""
        for partition in range(PARTITIONS):
            self._guard(self.current, self._catch_up(self.current, partition, point=point), point=point)

    @rule()
    def rebalance(self) -> None:
        """The group gives everything to the other owner, which reads on from what is committed."""
        self._give_to(1 - self.current)

    def _give_to(self, who: int) -> None:
        self.current = who
        self.owners[who].next = dict(self.committed)

    @invariant()
    def nothing_is_committed_that_is_not_applied(self) -> None:
        applied = asyncio.run(self.store.applied(range(PARTITIONS)))
        for (topic, partition), offset in self.committed.items():
            assert offset <= applied[partition].get(topic, -1) + 1

    def teardown(self) -> None:
        """Whatever happened: once everything is taken to its end, the ledgers find nothing."""
        if not hasattr(self, "owners"):
            return
        self.current = 0
        self.owners[0] = Owner(self.store, self.committed)
        while any(self.owners[0].next[home] < len(records) for home, records in self.log.items()):
            self._run(0, n=8, behind=False, point=None)
        for partition in range(PARTITIONS):
            while asyncio.run(self._catch_up(0, partition, point=None)):
                pass
        verdict = self._verdict()
        assert verdict.clean, str(verdict.first)

    def _shop(self, what: Sequence[Did], *, repeat: bool) -> None:
        """The events go onto the log; with `repeat` the last one comes twice."""
        events: list[AnyUserEvent] = []
        for user, item, buys in what:
            self.numbers += 1
            events.append((purchase if buys else view)(user, item, number=self.numbers))
        for event in [*events, events[-1]] if repeat else events:
            home = (topic_of(event).value, KEYS.partition(event.user_id))
            offset, key = len(self.log[home]), event.user_id.encode()
            self.log[home].append(LogRecord(*home, offset, 1_700_100_000_000, key, encode(event)))

    def _run(self, who: int, *, n: int, behind: bool, point: Point | None) -> None:
        self._guard(who, self._batch(who, n=n, behind=behind, point=point), point=point)

    def _guard(self, who: int, work: Awaitable[object], *, point: Point | None) -> None:
        async def run() -> None:
            await work

        self.owners[who].store.point = point
        try:
            asyncio.run(run())
        except Crash:
            self.owners[who] = Owner(self.store, self.committed)
        self.owners[who].store.point = None

    async def _batch(self, who: int, *, n: int, behind: bool, point: Point | None) -> None:
        owner = self.owners[who]
        records = [
            record for home, start in owner.next.items() for record in self.log[home][start : start + n]
        ]
        if not records:
            return
        if self.acks_first:
            self._ack(who, records)
        made = await owner.shop.agent.process(records, behind=range(PARTITIONS) if behind else ())
        if point is Point.BEFORE_PUBLISH:
            raise Crash
        self.published += made[:1] if point is Point.HALF_PUBLISHED else made
        if point in (Point.HALF_PUBLISHED, Point.BEFORE_ACK):
            raise Crash
        self._ack(who, records)

    def _ack(self, who: int, records: Sequence[LogRecord]) -> None:
        owner = self.owners[who]
        for record in records:
            home = (record.topic, record.partition)
            owner.next[home] = max(owner.next[home], record.offset + 1)
            if who == self.current:  # the broker refuses a commit of an owner that is none any more
                self.committed[home] = max(self.committed[home], record.offset + 1)

    async def _catch_up(self, who: int, partition: int, *, point: Point | None) -> int:
        async def publish(records: Sequence[Record]) -> None:
            if point is Point.BEFORE_PUBLISH:
                raise Crash
            self.published += records

        return await self.owners[who].shop.agent.catch_up(partition, publish=publish)

    def _verdict(self) -> Verdict:
        source = read_source(RawRecord(*record) for records in self.log.values() for record in records)
        places = [(home[1], user) for home in self.log for user in USERS if KEYS.partition(user) == home[1]]
        read = asyncio.run(self.store.read(places, partitions=range(PARTITIONS)))
        states = {at: raw for at, raw in zip(places, read.states, strict=True) if raw is not None}
        slates = [
            RawRecord("recommendations", one.partition or 0, offset, 0, one.key, one.value)
            for offset, one in enumerate(self.published)
            if one.topic == "recommendations"
        ]
        return together(
            [
                state_verdict(source, Stored(states, read.applied, read.pending)),
                slate_verdict(source, slates),
            ]
        )


class AcksFirst(CommitProtocol):
    """A build that commits the offsets before it writes."""

    acks_first = True


class LastWriterWins(MemoryStore):
    """A store that does not compare watermarks."""

    def _is_stale(self, write: PartitionWrite) -> bool:  # noqa: ARG002
        return False


class WithoutWatermarks(CommitProtocol):
    """A build whose writes are not conditional."""

    store_type = LastWriterWins


QUICK = settings(max_examples=25, stateful_step_count=10, deadline=None)
UNTIL_ONE = settings(QUICK, report_multiple_bugs=False, phases=[Phase.generate], print_blob=False)


def test_every_event_counts_once_wherever_a_crash_comes() -> None:
    run_state_machine_as_test(CommitProtocol, settings=QUICK)  # type: ignore[no-untyped-call]


@pytest.mark.parametrize("broken", [AcksFirst, WithoutWatermarks])
def test_model_finds_a_build_that_breaks_the_protocol(broken: type[CommitProtocol]) -> None:
    with pytest.raises(AssertionError):
        run_state_machine_as_test(broken, settings=UNTIL_ONE)  # type: ignore[no-untyped-call]
