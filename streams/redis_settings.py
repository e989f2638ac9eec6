"""How to reach Redis, and how long what lies in it lives."""

import re
from typing import TYPE_CHECKING

from pydantic import Field, SecretStr, field_validator, model_validator

from serving.redis_url import url_is_readable
from streams.settings_base import Group, refused

if TYPE_CHECKING:
    from serving.keys import KeySpace
    from serving.redis_options import RedisOptions

DAY_S = 24 * 3600
_REDIS_URL = re.compile(r"(redis|rediss|unix)://.")


class RedisSettings(Group):
    """Where Redis is, how it is secured, and how long what lies in it lives."""

    url: str = Field(
        default="",
        repr=False,  # it may hold a password
        description="redis:// or rediss:// (TLS); empty: the embedded server",
    )
    username: str | None = Field(default=None, description="of the access control list; default: the URL's")
    password: SecretStr | None = Field(
        default=None, description="default: the URL's; better in env than in a file"
    )
    ssl_ca_certs: str | None = Field(
        default=None, description="PEM file of the authorities to trust (rediss://)"
    )
    ssl_certfile: str | None = Field(default=None, description="PEM client certificate (rediss://)")
    ssl_keyfile: str | None = Field(default=None, description="PEM key of the client certificate (rediss://)")
    ssl_check_hostname: bool = Field(
        default=True, description="the certificate must name the host (rediss://)"
    )
    cluster: bool = Field(default=False, description="the URL names a node of a Redis Cluster")
    retries: int = Field(default=4, ge=0, le=20, description="of a call, with doubled waits in between")
    socket_timeout_s: float = Field(default=5.0, gt=0, le=300, description="how long a command may take")
    patience_s: float = Field(
        default=2.0,
        gt=0,
        le=300,
        description="a batch waits this long for Redis; then slates go without states, which are replayed later",
    )
    prefix: str = Field(default="hw", pattern=r"^[A-Za-z0-9._-]+$", description="goes before every key")
    state_ttl_days: int = Field(default=365, ge=1, description="a user who stays away this long is forgotten")
    slate_ttl_days: int = Field(default=7, ge=1, description="a stored slate lives this long")

    @property
    def embedded(self) -> bool:
        """True when no server is configured, so that the embedded one is to be started."""
        return not self.url

    @field_validator("url")
    @classmethod
    def _has_scheme(cls, url: str) -> str:
        if url and not _REDIS_URL.match(url):
            raise refused("expected redis://host:port/db (rediss:// for TLS, unix:// for a socket)")
        return url

    @model_validator(mode="after")
    def _consistent(self) -> "RedisSettings":
        if not url_is_readable(self.url):
            raise ValueError(
                "url cannot be read (it is not shown, for it may hold a password): / ? # and @ in a user name or "
                "password are written %2F %3F %23 and %40; or set REDIS_USERNAME and REDIS_PASSWORD"
            )
        if not self.url.startswith("rediss") and (self.ssl_ca_certs or self.ssl_certfile or self.ssl_keyfile):
            raise ValueError("ssl_ files are set, but url does not start with rediss://")
        if (self.ssl_certfile is None) != (self.ssl_keyfile is None):
            raise ValueError("ssl_certfile and ssl_keyfile go together; only one of them is set")
        return self

    def options(self) -> "RedisOptions":
        """The same as the Redis store takes it."""
        from serving.redis_options import RedisOptions  # here: it brings the Redis client with it

        return RedisOptions(
            url=self.url,
            username=self.username,
            password=None if self.password is None else self.password.get_secret_value(),
            ssl_ca_certs=self.ssl_ca_certs,
            ssl_certfile=self.ssl_certfile,
            ssl_keyfile=self.ssl_keyfile,
            ssl_check_hostname=self.ssl_check_hostname,
            cluster=self.cluster,
            connect_timeout_s=self.socket_timeout_s,
            timeout_s=self.socket_timeout_s,
            retries=self.retries,
            patience_s=self.patience_s,
        )

    def key_space(self, *, partitions: int) -> "KeySpace":
        """Where the store keeps its keys, for user topics with `partitions`."""
        from serving.keys import KeySpace

        return KeySpace(
            prefix=self.prefix,
            partitions=partitions,
            state_ttl_s=self.state_ttl_days * DAY_S,
            slate_ttl_s=self.slate_ttl_days * DAY_S,
        )
