"""How to reach Redis, and the client that follows from it."""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from serving.redis_url import url_is_readable

_SCHEMES = ("redis", "rediss", "unix")


@dataclass(frozen=True, slots=True)
class RedisOptions:
    """One Redis, Valkey or compatible server, or a cluster of them.

    url: redis://host:port/db, rediss:// for TLS, unix:///path. Credentials given here win over the URL's.
    A call takes at most (retries + 1) * timeout_s plus the waits between: backoff_s, doubled each time; and
    never more than patience_s, where that is set.
    """

    url: str = field(repr=False)
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ssl_ca_certs: str | None = None  # path of the CA's certificate; the system's when None
    ssl_certfile: str | None = None  # path of the client's certificate, with ssl_keyfile
    ssl_keyfile: str | None = None
    ssl_check_hostname: bool = True
    cluster: bool = False
    connect_timeout_s: float = 5.0
    timeout_s: float = 5.0
    retries: int = 4
    backoff_s: float = 0.05
    patience_s: float | None = None

    def __post_init__(self) -> None:
        if not url_is_readable(self.url):
            raise ValueError(
                "the Redis URL cannot be read: / ? # @ in a password are written %2F %3F %23 %40"
            )
        scheme = urlsplit(self.url).scheme
        if scheme not in _SCHEMES:
            raise ValueError(f"Redis URL starts with {scheme!r}; expected one of {', '.join(_SCHEMES)}")
        if scheme != "rediss" and (self.ssl_ca_certs or self.ssl_certfile or self.ssl_keyfile):
            raise ValueError(f"TLS files with a {scheme}:// URL; expected rediss://")
        if (self.ssl_certfile is None) != (self.ssl_keyfile is None):
            raise ValueError("ssl_certfile and ssl_keyfile; expected both or neither")
        if scheme == "unix" and self.cluster:
            raise ValueError("a cluster at a unix:// URL; expected redis:// or rediss://")
        if min(self.connect_timeout_s, self.timeout_s) <= 0 or self.retries < 0 or self.backoff_s < 0:
            raise ValueError(
                f"connect_timeout_s {self.connect_timeout_s}, timeout_s {self.timeout_s}; expected above 0; "
                f"retries {self.retries}, backoff_s {self.backoff_s}; expected 0 or more"
            )
        if self.patience_s is not None and self.patience_s <= 0:
            raise ValueError(f"patience_s is {self.patience_s}; expected above 0, or None")

    @property
    def address(self) -> str:
        """The URL without its credentials, for messages."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    def connect(self) -> Redis | RedisCluster:
        """A client that connects when first used; its replies are bytes, and it does not retry by itself."""
        parts = urlsplit(self.url)
        given: dict[str, Any] = {
            "username": self.username or unquote(parts.username or "") or None,
            "password": self.password or unquote(parts.password or "") or None,
            "socket_connect_timeout": self.connect_timeout_s,
            "socket_timeout": self.timeout_s,
        }
        if parts.scheme == "rediss":
            given |= {
                "ssl_ca_certs": self.ssl_ca_certs,
                "ssl_certfile": self.ssl_certfile,
                "ssl_keyfile": self.ssl_keyfile,
                "ssl_check_hostname": self.ssl_check_hostname,
            }
        arguments = {name: value for name, value in given.items() if value is not None}
        # redis-py prefers what the URL says, so the URL goes without its credentials.
        url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        if self.cluster:
            cluster: RedisCluster = RedisCluster.from_url(url, **arguments)
            return cluster
        client: Redis = Redis.from_url(url, retry=Retry(NoBackoff(), 0), **arguments)
        return client
