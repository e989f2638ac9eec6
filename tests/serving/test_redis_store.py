"""The store on a real Redis-protocol server keeps the contract, its times to live, and its temper."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from redis.asyncio import Redis

from serving.errors import StoreRefused, StoreUnavailable
from serving.ports import UserStore
from serving.redis_options import RedisOptions
from serving.redis_store import RedisStore
from streams.embedded import EmbeddedRedis
from streams.processes import Child, spawn
from tests.serving.store_contract import ANN, AT, KEYS, StoreContract, closing, write_of


class TestRedisStore(StoreContract):
    @pytest.fixture(autouse=True)
    def _server(self, redis_url: str, redis_prefix: str) -> None:
        self.options = RedisOptions(url=redis_url)
        self.keys = replace(KEYS, prefix=redis_prefix)

    @asynccontextmanager
    async def two_stores(self) -> AsyncIterator[tuple[UserStore, UserStore]]:
        async with closing(*(RedisStore(self.options, keys=self.keys) for _ in range(2))) as (store, other):
            yield store, other

    def test_everything_but_the_watermarks_expires(self) -> None:
        async def scenario(store: UserStore, _: UserStore) -> None:
            await store.write(
                [
                    write_of(
                        "1", applied={"clicks": 1}, states={ANN: b"1"}, slates={ANN: b"2"}, waiting={ANN: 3}
                    )
                ]
            )
            async with Redis.from_url(self.options.url) as client:
                keys = [key async for key in client.scan_iter(f"{self.keys.prefix}:*")]
                ttls = {key.decode(): await client.ttl(key) for key in keys}
            day = 86_400
            assert {key: round(ttl / day) for key, ttl in ttls.items() if ttl >= 0} == {
                self.keys.state(AT, ANN): 365,
                self.keys.slate(AT, ANN): 7,
                self.keys.pending(AT): 365,
            }
            assert [key for key, ttl in ttls.items() if ttl < 0] == [self.keys.applied(AT)]

        self.run(scenario)

    def test_a_state_is_gone_after_its_time_to_live(self) -> None:
        async def scenario() -> None:
            keys = replace(self.keys, state_ttl_s=1)
            async with closing(RedisStore(self.options, keys=keys)) as (store,):
                await store.write([write_of("1", applied={"clicks": 1}, states={ANN: b"1"})])
                async with Redis.from_url(self.options.url) as client:
                    await client.pexpire(keys.state(AT, ANN), 0)
                stored = await store.read([(AT, ANN)])
                assert (stored.states, stored.applied[AT]) == ([None], {"clicks": 1})

        asyncio.run(scenario())

    def test_a_flushed_script_is_loaded_again(self) -> None:
        async def scenario(store: UserStore, _: UserStore) -> None:
            await store.write([write_of("1", applied={"clicks": 1})])
            async with Redis.from_url(self.options.url) as client:
                await client.script_flush()
            await store.write(
                [write_of("2", expected={"clicks": 1}, applied={"clicks": 2}, states={ANN: b"2"})]
            )
            assert (await store.read([(AT, ANN)])).states == [b"2"]

        self.run(scenario)

    def test_a_key_of_another_type_is_refused_and_nothing_is_written(self) -> None:
        async def scenario(store: UserStore, _: UserStore) -> None:
            async with Redis.from_url(self.options.url) as client:
                await client.set(self.keys.pending(AT), "not a sorted set")
                with pytest.raises(StoreRefused, match="WRONGTYPE"):
                    await store.write(
                        [write_of("1", applied={"clicks": 1}, states={ANN: b"1"}, waiting={ANN: 1})]
                    )
                assert await client.exists(self.keys.applied(AT), self.keys.state(AT, ANN)) == 0

        self.run(scenario)

    def test_ping_names_the_product_its_version_and_its_clock(self) -> None:
        async def scenario(store: UserStore, _: UserStore) -> None:
            info = await store.ping()
            assert info.product == "valkey"
            assert str(info).startswith("valkey 9.")
            assert info.now_ms is not None
            assert info.now_ms > 1_700_000_000_000

        self.run(scenario)


def test_a_server_that_is_not_there_is_named_without_its_password() -> None:
    async def scenario() -> None:
        with socket.socket() as taken:  # bound, not listening: connections are refused
            taken.bind(("127.0.0.1", 0))
            url = f"redis://me:secret@127.0.0.1:{taken.getsockname()[1]}/0"
            waits: list[float] = []

            async def note(wait_s: float) -> None:
                waits.append(wait_s)

            options = RedisOptions(url=url, retries=3, backoff_s=0.5)
            async with closing(RedisStore(options, keys=KEYS, sleep=note)) as (store,):
                with pytest.raises(StoreUnavailable, match="REDIS_URL") as caught:
                    await store.read([(AT, ANN)])
            assert waits == [0.5, 1.0, 2.0]
            assert "secret" not in str(caught.value) + repr(options)

    asyncio.run(scenario())


def test_a_write_goes_on_when_the_server_comes_back(tmp_path: Path) -> None:
    async def scenario(server: EmbeddedRedis) -> None:
        started: list[Child] = []

        async def restart(_: float) -> None:
            command = server.command(server.port, folder=tmp_path)
            started.append(spawn(command, name="redis", log_file=tmp_path / "redis.log"))
            started[0].wait_until(lambda: server.answers(server.port), timeout_s=20, what="answer")

        async with closing(RedisStore(RedisOptions(url=server.url), keys=KEYS, sleep=restart)) as (store,):
            await store.write([write_of("1", applied={"clicks": 1})])
            server.child.kill()
            try:
                await store.write([write_of("2", applied={"clicks": 2}, states={ANN: b"2"})])
                stored = await store.read([(AT, ANN)])
            finally:
                for child in started:
                    child.kill()
        assert len(started) == 1
        assert (stored.states, stored.applied[AT]) == ([b"2"], {"clicks": 2})

    with EmbeddedRedis() as server:
        asyncio.run(scenario(server))


def test_a_wrong_password_is_refused_at_once() -> None:
    async def scenario(server: EmbeddedRedis) -> None:
        async with Redis.from_url(server.url) as client:
            await client.config_set("requirepass", "right")
        for password in ("wrong", None):
            options = RedisOptions(url=server.url, password=password)
            async with closing(RedisStore(options, keys=KEYS, sleep=fail)) as (store,):
                with pytest.raises(StoreRefused):
                    await store.read([(AT, ANN)])
        options = RedisOptions(url=server.url, password="right")
        async with closing(RedisStore(options, keys=KEYS)) as (store,):
            assert (await store.read([(AT, ANN)])).states == [None]

    async def fail(_: float) -> None:
        pytest.fail("retried")

    with EmbeddedRedis() as server:
        asyncio.run(scenario(server))


def test_a_full_server_is_refused_and_nothing_is_written() -> None:
    async def scenario(server: EmbeddedRedis) -> None:
        async with (
            Redis.from_url(server.url) as client,
            closing(RedisStore(RedisOptions(url=server.url), keys=KEYS)) as (store,),
        ):
            await store.write([write_of("1", applied={"clicks": 1}, states={ANN: b"1"})])
            await client.config_set("maxmemory", "1")
            with pytest.raises(StoreRefused, match="maxmemory"):
                await store.write(
                    [write_of("2", expected={"clicks": 1}, applied={"clicks": 2}, states={ANN: b"2"})]
                )
            stored = await store.read([(AT, ANN)])
            assert (stored.states, stored.applied[AT]) == ([b"1"], {"clicks": 1})

    with EmbeddedRedis() as server:
        asyncio.run(scenario(server))
