"""The store on a real cluster of two nodes: partitions lie on different nodes, and the contract holds."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from redis import Redis

from serving.ports import UserStore
from serving.redis_options import RedisOptions
from serving.redis_store import RedisStore
from streams.embedded import HOST, EmbeddedRedis
from streams.processes import free_port
from tests.serving.store_contract import KEYS, StoreContract, closing, write_of

SLOTS = 16_384


class ClusterNode(EmbeddedRedis):
    """An embedded server that can join a cluster."""

    def command(self, port: int, *, folder: Path) -> Sequence[str]:
        self.bus_port = free_port(HOST)
        return [
            *super().command(port, folder=folder),
            *("--cluster-enabled", "yes", "--cluster-port", str(self.bus_port)),
        ]


def is_ready(node: ClusterNode) -> bool:
    with Redis(port=node.port) as client:
        info = client.cluster("INFO")
        return (info["cluster_state"], info["cluster_known_nodes"]) == ("ok", "2")


@pytest.fixture(scope="module")
def cluster_url() -> Iterator[str]:
    """Two primaries with half of the slots each."""
    with ClusterNode() as first, ClusterNode() as second:
        for node, start, stop in ((first, 0, SLOTS // 2 - 1), (second, SLOTS // 2, SLOTS - 1)):
            with Redis(port=node.port) as client:
                client.execute_command("CLUSTER ADDSLOTSRANGE", start, stop)
        with Redis(port=first.port) as client:
            client.execute_command("CLUSTER MEET", HOST, second.port, second.bus_port)
        for node in (first, second):
            node.child.wait_until(lambda node=node: is_ready(node), timeout_s=60, what="join the cluster")
        yield first.url


class TestRedisCluster(StoreContract):
    @pytest.fixture(autouse=True)
    def _cluster(self, cluster_url: str, redis_prefix: str) -> None:
        self.options = RedisOptions(url=cluster_url, cluster=True)
        self.keys = replace(KEYS, prefix=redis_prefix)

    @asynccontextmanager
    async def two_stores(self) -> AsyncIterator[tuple[UserStore, UserStore]]:
        async with closing(*(RedisStore(self.options, keys=self.keys) for _ in range(2))) as (store, other):
            yield store, other

    def test_partitions_of_both_nodes_are_written_at_once(self) -> None:
        async def scenario(store: UserStore, other: UserStore) -> None:
            everywhere = range(KEYS.partitions)
            await store.write(
                [
                    write_of(str(at), partition=at, applied={"clicks": at}, states={f"user{at}": b"%d" % at})
                    for at in everywhere
                ]
            )
            stored = await other.read([(at, f"user{at}") for at in everywhere])
            assert stored.states == [b"%d" % at for at in everywhere]
            assert stored.applied == {at: {"clicks": at} for at in everywhere}

        self.run(scenario)

    def test_both_nodes_own_partitions(self, cluster_url: str) -> None:
        with Redis.from_url(cluster_url) as client:
            slots = {client.cluster("KEYSLOT", self.keys.applied(at)) for at in range(KEYS.partitions)}
        assert {int(slot) < SLOTS // 2 for slot in slots} == {True, False}


def test_a_closed_store_gives_its_connections_back(cluster_url: str) -> None:
    async def scenario() -> int:
        async with closing(RedisStore(RedisOptions(url=cluster_url, cluster=True), keys=KEYS)) as (store,):
            await store.read([], partitions=[0])
        return len(asyncio.all_tasks())

    assert asyncio.run(scenario()) == 1
