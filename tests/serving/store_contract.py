"""What every UserStore does. A store's test file subclasses StoreContract and says how to make one."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from serving.errors import StaleWriter
from serving.keys import KeySpace
from serving.ports import PartitionWrite, UserStore

KEYS = KeySpace(partitions=8)
ANN, BOB = "ann", "bob"
ANN_AT, BOB_AT = (KEYS.partition(ANN), ANN), (KEYS.partition(BOB), BOB)
AT = ANN_AT[0]

Scenario = Callable[[UserStore, UserStore], Awaitable[None]]


def write_of(
    batch_id: str, *, expected: dict[str, int] | None = None, partition: int = AT, **changes: Any
) -> PartitionWrite:
    return PartitionWrite(partition=partition, batch_id=batch_id, expected=expected or {}, **changes)


class StoreContract(ABC):
    """Each test opens two stores on the same keys, as two workers would."""

    @abstractmethod
    def two_stores(self) -> AbstractAsyncContextManager[tuple[UserStore, UserStore]]: ...

    def run(self, scenario: Scenario) -> None:
        async def go() -> None:
            async with self.two_stores() as (store, other):
                await scenario(store, other)

        asyncio.run(go())

    def test_nothing_is_known_at_first(self) -> None:
        async def scenario(store: UserStore, _: UserStore) -> None:
            stored = await store.read([ANN_AT, BOB_AT], partitions=[3])
            assert stored.states == [None, None]
            assert stored.applied == {AT: {}, BOB_AT[0]: {}, 3: {}}
            assert stored.pending == {AT: 0, BOB_AT[0]: 0, 3: 0}
            assert await store.slate(ANN) is None
            assert await store.pending(3, limit=5) == []
            assert await store.applied([1, 2]) == {1: {}, 2: {}}

        self.run(scenario)

    def test_what_one_writes_the_other_reads(self) -> None:
        async def scenario(store: UserStore, other: UserStore) -> None:
            binary = bytes(range(256))
            await store.write(
                [
                    write_of(
                        "1", applied={"clicks": 7, "carts": 0}, states={ANN: binary}, slates={ANN: b"{}"}
                    ),
                    write_of("2", partition=BOB_AT[0], applied={"clicks": 4}, states={BOB: b"b"}),
                ]
            )
            stored = await other.read([BOB_AT, ANN_AT, (AT, "nobody"), ANN_AT])
            assert stored.states == [b"b", binary, None, binary]
            assert stored.applied == {AT: {"clicks": 7, "carts": 0}, BOB_AT[0]: {"clicks": 4}}
            assert await other.slate(ANN) == b"{}"
            assert await other.slate(BOB) is None
            assert await other.applied([AT]) == {AT: {"clicks": 7, "carts": 0}}

        self.run(scenario)

    def test_ids_may_hold_anything(self) -> None:
        async def scenario(store: UserStore, _: UserStore) -> None:
            users = ["a b", "{7}", "*", "ü€😀", "applied", "x" * 256, "a:b"]
            await store.write(
                [
                    write_of(
                        "1",
                        applied={"clicks": 1},
                        states={user: user.encode() for user in users},
                        waiting=dict.fromkeys(users, 1),
                    )
                ]
            )
            stored = await store.read([(AT, user) for user in users])
            assert stored.states == [user.encode() for user in users]
            assert sorted(await store.pending(AT, limit=99)) == sorted(users)

        self.run(scenario)

    def test_empty_values_are_values(self) -> None:
        async def scenario(store: UserStore, _: UserStore) -> None:
            await store.write([write_of("1", applied={"clicks": 1}, states={ANN: b""}, slates={ANN: b""})])
            assert (await store.read([ANN_AT])).states == [b""]
            assert await store.slate(ANN) == b""

        self.run(scenario)

    def test_watermarks_advance_topic_by_topic(self) -> None:
        async def scenario(store: UserStore, _: UserStore) -> None:
            await store.write([write_of("1", applied={"clicks": 7})])
            await store.write([write_of("2", expected={"clicks": 7}, applied={"carts": 3})])
            await store.write([write_of("3", expected={"clicks": 7, "carts": 3}, applied={"clicks": 9})])
            assert await store.applied([AT]) == {AT: {"clicks": 9, "carts": 3}}

        self.run(scenario)

    @pytest.mark.parametrize(
        "expected", [{}, {"clicks": 6}, {"clicks": 8}, {"carts": 7}, {"clicks": 7, "carts": 0}]
    )
    def test_a_write_on_other_watermarks_is_refused_whole(self, expected: dict[str, int]) -> None:
        async def scenario(store: UserStore, other: UserStore) -> None:
            await store.write([write_of("1", applied={"clicks": 7}, states={ANN: b"new"})])
            late = write_of(
                "2",
                expected=expected,
                applied={"clicks": 99},
                states={ANN: b"zombie"},
                slates={ANN: b"zombie"},
                waiting={ANN: 1},
            )
            with pytest.raises(StaleWriter, match="clicks") as caught:
                await other.write([late])
            assert caught.value.found == {AT: {"clicks": 7}}
            assert caught.value.written == ()
            stored = await store.read([ANN_AT])
            assert (stored.states, stored.applied, stored.pending) == ([b"new"], {AT: {"clicks": 7}}, {AT: 0})
            assert await store.slate(ANN) is None

        self.run(scenario)

    def test_a_refused_partition_leaves_the_others_written(self) -> None:
        async def scenario(store: UserStore, other: UserStore) -> None:
            await store.write([write_of("1", partition=1, applied={"clicks": 7})])
            with pytest.raises(StaleWriter) as caught:
                await other.write(
                    [
                        write_of("2", partition=1, applied={"clicks": 3}),
                        write_of("3", partition=2, applied={"clicks": 4}),
                    ]
                )
            assert caught.value.found == {1: {"clicks": 7}}
            assert caught.value.written == (2,)
            assert await store.applied([1, 2]) == {1: {"clicks": 7}, 2: {"clicks": 4}}

        self.run(scenario)

    def test_the_same_batch_again_changes_nothing(self) -> None:
        async def scenario(store: UserStore, other: UserStore) -> None:
            write = write_of("1", applied={"clicks": 7}, states={ANN: b"one"}, waiting={ANN: 5})
            await store.write([write])
            await store.write([write])
            again = write_of("1", applied={"clicks": 7}, states={ANN: b"two"})
            await other.write([again])
            assert (await store.read([ANN_AT])).states == [b"one"]
            later = write_of("2", expected={"clicks": 7}, applied={"clicks": 8}, states={ANN: b"three"})
            await store.write([later])
            with pytest.raises(StaleWriter):
                await store.write([write])
            assert (await store.read([ANN_AT])).states == [b"three"]

        self.run(scenario)

    def test_of_two_writers_of_the_same_offsets_one_wins(self) -> None:
        async def scenario(store: UserStore, other: UserStore) -> None:
            expected: dict[str, int] = {}
            for offset in range(30):
                rivals = {
                    name: worker.write(
                        [
                            write_of(
                                f"{name}{offset}",
                                expected=expected,
                                applied={"clicks": offset},
                                states={ANN: name},
                            )
                        ],
                    )
                    for name, worker in ((b"a", store), (b"b", other))
                }
                results = await asyncio.gather(*rivals.values(), return_exceptions=True)
                refused = [isinstance(result, StaleWriter) for result in results]
                assert sorted(refused) == [False, True]
                winner = b"b" if refused[0] else b"a"
                stored = await store.read([ANN_AT])
                assert (stored.states, stored.applied[AT]) == ([winner], {"clicks": offset})
                expected = stored.applied[AT]

        self.run(scenario)

    def test_readers_never_see_half_a_write(self) -> None:
        async def scenario(store: UserStore, other: UserStore) -> None:
            users = [f"user{number}" for number in range(20)]

            async def write() -> None:
                expected: dict[str, int] = {}
                for offset in range(40):
                    states = dict.fromkeys(users, str(offset).encode())
                    await store.write(
                        [write_of(str(offset), expected=expected, applied={"clicks": offset}, states=states)]
                    )
                    expected = {"clicks": offset}
                    await asyncio.sleep(0)

            writing = asyncio.create_task(write())
            reads = 0
            while not writing.done():
                stored = await other.read([(AT, user) for user in users])
                assert len(set(stored.states)) == 1
                seen = -1 if stored.states[0] is None else int(stored.states[0])
                assert stored.applied[AT].get("clicks", -1) <= seen
                reads += 1
                await asyncio.sleep(0)
            await writing
            assert reads > 5

        self.run(scenario)

    def test_waiting_users_come_latest_first_until_they_are_served(self) -> None:
        async def scenario(store: UserStore, other: UserStore) -> None:
            times = {"a": 1_323_420_060_001, "b": 1_323_420_060_003, "c": 1_323_420_060_002}
            await store.write([write_of("1", applied={"clicks": 1}, waiting=times)])
            assert await other.pending(AT, limit=2) == ["b", "c"]
            assert await other.pending(AT + 1, limit=2) == []
            moved = write_of(
                "2", expected={"clicks": 1}, waiting={"a": 1_323_420_060_009}, served=["b", "nobody"]
            )
            await store.write([moved])
            assert await other.pending(AT, limit=9) == ["a", "c"]
            assert (await other.read([], partitions=[AT])).pending == {AT: 2}
            await store.write([write_of("3", expected={"clicks": 1}, slates={"a": b"1"}, served=["a", "c"])])
            assert (await other.read([], partitions=[AT])).pending == {AT: 0}

        self.run(scenario)

    def test_a_large_batch_fits(self) -> None:
        async def scenario(store: UserStore, _: UserStore) -> None:
            users = {f"user{number}": bytes(3_000) + str(number).encode() for number in range(3_000)}
            await store.write(
                [write_of("1", applied={"clicks": 1}, states=users, waiting=dict.fromkeys(users, 1))]
            )
            stored = await store.read([(AT, user) for user in users])
            assert stored.states == list(users.values())
            await store.write([write_of("2", expected={"clicks": 1}, served=list(users))])

        self.run(scenario)

    def test_one_partition_twice_is_refused(self) -> None:
        async def scenario(store: UserStore, _: UserStore) -> None:
            with pytest.raises(ValueError, match="each partition once"):
                await store.write(
                    [write_of("1", applied={"clicks": 1}), write_of("2", applied={"clicks": 2})]
                )
            assert await store.applied([AT]) == {AT: {}}

        self.run(scenario)

    def test_ping_says_who_answers(self) -> None:
        async def scenario(store: UserStore, _: UserStore) -> None:
            info = await store.ping()
            assert str(info)
            assert info.eviction == "noeviction"

        self.run(scenario)


@asynccontextmanager
async def closing(*stores: UserStore) -> AsyncIterator[tuple[UserStore, ...]]:
    try:
        yield stores
    finally:
        for store in stores:
            await store.close()
