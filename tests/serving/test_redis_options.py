"""What the options say is what the client does."""

from dataclasses import replace
from pathlib import Path

import pytest
from redis.asyncio import Redis, SSLConnection, UnixDomainSocketConnection

from serving.redis_options import RedisOptions


def connection_of(options: RedisOptions) -> tuple[type, dict[str, object]]:
    client = options.connect()
    assert isinstance(client, Redis)
    return client.connection_pool.connection_class, client.connection_pool.connection_kwargs


def test_tls_files_and_credentials_reach_the_connection() -> None:
    made, given = connection_of(
        RedisOptions(
            url="rediss://url-user:url-password@shop.example:6390/2",
            username="given-user",
            password="given-password",
            ssl_ca_certs="ca.pem",
            ssl_certfile="cert.pem",
            ssl_keyfile="key.pem",
            ssl_check_hostname=False,
            timeout_s=1.5,
        )
    )
    assert made is SSLConnection
    expected = {
        "host": "shop.example",
        "port": 6390,
        "db": 2,
        "username": "given-user",
        "password": "given-password",
        "ssl_ca_certs": "ca.pem",
        "ssl_certfile": "cert.pem",
        "ssl_keyfile": "key.pem",
        "ssl_check_hostname": False,
        "socket_timeout": 1.5,
    }
    assert {name: given[name] for name in expected} == expected


def test_credentials_of_the_url_count_when_none_are_given() -> None:
    _, given = connection_of(RedisOptions(url="redis://me:p%40ss@127.0.0.1:6379/0"))
    assert (given["username"], given["password"]) == ("me", "p@ss")


def test_a_unix_socket_is_a_server_too(tmp_path: Path) -> None:
    made, given = connection_of(RedisOptions(url=f"unix://{tmp_path}/redis.sock"))
    assert made is UnixDomainSocketConnection
    assert given["path"] == f"{tmp_path}/redis.sock"


def test_secrets_are_never_shown() -> None:
    options = RedisOptions(url="redis://me:hidden@127.0.0.1:6379/3", password="buried")
    shown = repr(options) + str(options) + options.address
    assert "hidden" not in shown
    assert "buried" not in shown
    assert options.address == "redis://127.0.0.1:6379/3"


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"url": "http://127.0.0.1"}, "redis, rediss, unix"),
        ({"ssl_ca_certs": "ca.pem"}, "rediss://"),
        ({"url": "rediss://h", "ssl_certfile": "cert.pem"}, "both or neither"),
        ({"url": "unix:///a.sock", "cluster": True}, "unix://"),
        ({"timeout_s": 0.0}, "timeout_s"),
        ({"retries": -1}, "retries"),
    ],
)
def test_options_that_cannot_work_are_refused(wrong: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        replace(RedisOptions(url="redis://h"), **wrong)
