"""The store in memory keeps the contract, and its bound."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from serving.memory_store import MemoryStore
from serving.ports import UserStore
from tests.serving.store_contract import AT, KEYS, StoreContract, write_of


class TestMemoryStore(StoreContract):
    @asynccontextmanager
    async def two_stores(self) -> AsyncIterator[tuple[UserStore, UserStore]]:
        store = MemoryStore(KEYS)
        yield store, store


def test_ten_times_the_users_take_no_more_than_the_capacity() -> None:
    async def scenario() -> None:
        store = MemoryStore(KEYS, capacity=20)
        expected: dict[str, int] = {}
        for offset in range(200):
            user = f"user{offset}"
            write = write_of(
                str(offset),
                expected=expected,
                applied={"clicks": offset},
                states={user: b"1"},
                slates={user: b"2"},
                waiting={user: offset},
            )
            await store.write([write])
            await store.read([(AT, "user0")])  # in use, so it stays
            expected = {"clicks": offset}
        everyone = [(AT, f"user{offset}") for offset in range(200)]
        kept = [
            user for user, state in zip(everyone, (await store.read(everyone)).states, strict=True) if state
        ]
        assert kept == [everyone[0], *everyone[-19:]]
        assert len(await store.pending(AT, limit=1000)) == 20
        assert await store.applied([AT]) == {AT: {"clicks": 199}}

    asyncio.run(scenario())


def test_capacity_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="capacity is 0"):
        MemoryStore(KEYS, capacity=0)
