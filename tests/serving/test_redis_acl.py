"""The Redis permissions of docs/security.md: enough for everything that the store does, and not one too many."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis  # the test's own administrator; the product talks through serving
from redis.exceptions import NoPermissionError

from serving.errors import NotPermitted, StoreRefused, StoreUnavailable, UntrustedStore, WrongCredentials
from serving.keys import KeySpace
from serving.ports import PartitionWrite
from serving.redis_options import RedisOptions
from serving.redis_store import RedisStore
from tests.certificates import Authority
from tests.secure_redis import PASSWORDS, SecureRedis, documented_users, tls_in_front

KEYS = KeySpace(partitions=4)
NEEDED = [word.removeprefix("+") for word in documented_users()[0].split() if word.startswith("+")]


@pytest.fixture(scope="module")
def server() -> Iterator[SecureRedis]:
    with SecureRedis() as running:
        yield running


@pytest.fixture(scope="module")
def admin(server: SecureRedis) -> Iterator["Redis[str]"]:
    with Redis.from_url(
        server.url, username="administrator", password=PASSWORDS["administrator"], decode_responses=True
    ) as client:
        yield client


def options(server: SecureRedis, *, user: str = "headwater", **more: object) -> RedisOptions:
    given = {"url": server.url, "username": user, "password": PASSWORDS.get(user, ""), "retries": 0}
    return RedisOptions(**{**given, **more})  # type: ignore[arg-type]


async def everything(chosen: RedisOptions) -> None:
    """All that a recommender asks of its store."""
    store = RedisStore(chosen, keys=KEYS)
    try:
        await store.probe()
        await store.name_by("raw")
        assert await store.naming() == "raw"
        known = (await store.read([(1, "ann")], partitions=[1])).applied[1]
        at = known.get("clicks", -1) + 1
        write = PartitionWrite(
            partition=1,
            batch_id=f"batch-{at}",
            expected=known,
            applied={"clicks": at},
            states={"ann": b"state"},
            slates={"ann": b"slate"},
            waiting={"bob": 5},
            served=["carl"],
        )
        await store.write([write])
        assert (await store.read([(1, "ann")])).states == [b"state"]
        assert await store.pending(1, limit=5) == ["bob"]
        await store.slate("ann")
        assert (await store.applied([1]))[1]["clicks"] == at
    finally:
        await store.close()


def test_the_documented_permissions_are_enough(server: SecureRedis) -> None:
    asyncio.run(everything(options(server)))


@pytest.mark.parametrize("command", NEEDED)
def test_without_any_one_of_them_nothing_is_written(
    server: SecureRedis, admin: "Redis[str]", command: str
) -> None:
    words = documented_users()[0].split()[2:]
    kept = [f">{PASSWORDS['headwater']}" if w == ">PASSWORD" else w for w in words if w != f"+{command}"]
    assert len(kept) == len(words) - 1
    admin.flushall()
    admin.script_flush()
    admin.execute_command("ACL", "SETUSER", "lacking", "reset", *kept)

    async def probe() -> None:
        store = RedisStore(options(server, user="lacking", password=PASSWORDS["headwater"]), keys=KEYS)
        try:
            await store.probe()
        finally:
            await store.close()

    with pytest.raises(NotPermitted):
        asyncio.run(probe())
    assert [key for key in admin.scan_iter() if "{probe}" not in key] == []


def test_other_keys_and_commands_are_closed(server: SecureRedis) -> None:
    with Redis.from_url(server.url, username="headwater", password=PASSWORDS["headwater"]) as client:
        for words in (["GET", "other"], ["KEYS", "*"], ["FLUSHALL"], ["CONFIG", "GET", "*"], ["DEL", "hw:x"]):
            with pytest.raises(NoPermissionError):
                client.execute_command(*words)


def test_a_storefront_reads_slates_and_nothing_else(server: SecureRedis, admin: "Redis[str]") -> None:
    admin.set(KEYS.slate(2, "ann"), "slate")
    admin.set(KEYS.state(2, "ann"), "state")
    with Redis.from_url(server.url, username="storefront", password=PASSWORDS["storefront"]) as client:
        assert client.get(KEYS.slate(2, "ann")) == b"slate"
        for words in (["GET", KEYS.state(2, "ann")], ["SET", KEYS.slate(2, "ann"), "x"]):
            with pytest.raises(NoPermissionError):
                client.execute_command(*words)


@pytest.mark.parametrize(
    ("user", "password", "expected"),
    [
        ("headwater", "wrong", WrongCredentials),
        ("nobody", "wrong", WrongCredentials),
        (None, None, WrongCredentials),
    ],
)
def test_wrong_credentials_are_told_without_the_password(
    server: SecureRedis, user: str | None, password: str | None, expected: type[StoreRefused]
) -> None:
    with pytest.raises(expected) as caught:
        asyncio.run(everything(RedisOptions(url=server.url, username=user, password=password, retries=0)))
    assert PASSWORDS["headwater"] not in str(caught.value)


def test_what_info_needs_is_not_among_the_workers_permissions(server: SecureRedis) -> None:
    async def ping(user: str) -> None:
        store = RedisStore(options(server, user=user), keys=KEYS)
        try:
            await store.ping()
        finally:
            await store.close()

    with pytest.raises(NotPermitted, match="info"):
        asyncio.run(ping("headwater"))
    asyncio.run(ping("headwater-doctor"))


def test_tls_with_the_right_authority_and_with_another(server: SecureRedis, tmp_path: Path) -> None:
    authority, other = Authority(tmp_path), Authority(tmp_path, name="other")
    with tls_in_front(server.port, authority=authority) as port:
        url = f"rediss://127.0.0.1:{port}/0"
        asyncio.run(everything(options(server, url=url, ssl_ca_certs=str(authority.certificate))))
        with pytest.raises(UntrustedStore, match="certificate"):
            asyncio.run(everything(options(server, url=url, ssl_ca_certs=str(other.certificate))))
        with pytest.raises(StoreUnavailable):
            asyncio.run(everything(options(server, url=f"redis://127.0.0.1:{port}/0", timeout_s=2.0)))


def test_a_certificate_for_another_host_is_not_trusted(server: SecureRedis, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with tls_in_front(server.port, authority=authority, hosts="DNS:elsewhere.example") as port:
        chosen = options(server, url=f"rediss://127.0.0.1:{port}/0", ssl_ca_certs=str(authority.certificate))
        with pytest.raises(UntrustedStore, match="IP address mismatch"):
            asyncio.run(everything(chosen))


def test_client_certificates(server: SecureRedis, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    mine = authority.sign("headwater")
    with tls_in_front(server.port, authority=authority, mutual=True) as port:
        chosen = options(
            server,
            url=f"rediss://127.0.0.1:{port}/0",
            ssl_ca_certs=str(authority.certificate),
            ssl_certfile=str(mine.certificate),
            ssl_keyfile=str(mine.key),
        )
        asyncio.run(everything(chosen))
