"""How to reach Kafka, and the same answer in the words of each client library."""

import ssl
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from streams.settings_base import refused

if TYPE_CHECKING:
    from faust.types.auth import CredentialsT

SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]


class KafkaSettings(BaseModel):
    """Where Kafka is, how it is secured, and how Headwater's topics and consumers behave on it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bootstrap_servers: str = Field(
        default="", description="host:port, comma-separated; empty: the embedded broker"
    )
    security_protocol: SecurityProtocol = Field(
        default="PLAINTEXT", description="how connections are secured"
    )
    sasl_mechanism: SaslMechanism | None = Field(default=None, description="needed by the SASL_ protocols")
    sasl_username: str | None = Field(default=None, description="needed by the SASL_ protocols")
    sasl_password: SecretStr | None = Field(
        default=None, description="needed by the SASL_ protocols; better in env"
    )
    ssl_cafile: str | None = Field(
        default=None, description="PEM file of the authorities to trust; default: system's"
    )
    ssl_certfile: str | None = Field(default=None, description="PEM client certificate (mutual TLS)")
    ssl_keyfile: str | None = Field(default=None, description="PEM key of the client certificate")
    ssl_key_password: SecretStr | None = Field(default=None, description="password of ssl_keyfile")
    ssl_check_hostname: bool = Field(default=True, description="the certificate must name the host")
    session_timeout_s: float = Field(
        default=6.0, ge=0.5, le=1800, description="a silent worker is dead after this; Apache refuses < 6"
    )
    heartbeat_s: float = Field(default=1.0, ge=0.1, description="at most a third of session_timeout_s")
    request_timeout_s: float = Field(default=30.0, ge=1, le=600, description="how long a request may take")
    commit_interval_s: float = Field(
        default=0.5, ge=0.05, le=60, description="offsets are committed this often: what a kill -9 redelivers"
    )
    fetch_wait_ms: int | None = Field(
        default=None,
        ge=1,
        le=30_000,
        description="a fetch waits this long for something to come; default: 20 on the embedded broker, else 50 "
        "for a worker's own partitions and 25 for all",
    )
    fetch_every_ms: int = Field(
        default=12,
        ge=0,
        le=1_000,
        description="a worker fetches its own partitions again this long after the last answer: what comes meanwhile "
        "is worked on together, which at 16 takes a sixth to two fifths less processor, at 12 somewhat less than that",
    )
    fetch_min_bytes: int = Field(
        default=16_384,
        ge=1,
        le=50_000_000,
        description="less makes a fetch of all partitions wait, which saves the broker thousands of requests a second; "
        "the embedded broker always gets 1",
    )
    partitions: int = Field(
        default=8, ge=1, le=4096, description="of every user-keyed topic; fixed once the topics exist"
    )
    replication_factor: int = Field(default=1, ge=1, le=9, description="3 on a real cluster")
    topic_prefix: str = Field(
        default="", max_length=100, pattern=r"^[A-Za-z0-9._-]*$", description="goes before every topic's name"
    )
    events_retention_days: int | None = Field(
        default=None,
        ge=1,
        description="user events are kept this long; default: for ever (they are the only truth)",
    )
    recommendations_retention_days: int = Field(
        default=7, ge=1, description="published slates are kept this long"
    )
    dead_letters_retention_days: int = Field(default=30, ge=1, description="dead letters are kept this long")

    @field_validator("bootstrap_servers")
    @classmethod
    def _no_scheme(cls, servers: str) -> str:
        if "://" in servers:
            raise refused("expected host:port, without a scheme; several with commas between")
        return servers

    @model_validator(mode="after")
    def _consistent(self) -> "KafkaSettings":
        if self.heartbeat_s > self.session_timeout_s / 3:
            raise ValueError(
                f"heartbeat_s is {self.heartbeat_s:g}; it must be at most a third of session_timeout_s "
                f"({self.session_timeout_s:g})"
            )
        if self.uses_sasl:
            needed = ("sasl_mechanism", "sasl_username", "sasl_password")
            if missing := [name for name in needed if getattr(self, name) is None]:
                raise ValueError(f"security_protocol {self.security_protocol} needs {', '.join(missing)}")
        elif self.sasl_mechanism is not None:
            raise ValueError(
                f"sasl_mechanism is {self.sasl_mechanism} but security_protocol is {self.security_protocol}; "
                "use SASL_SSL or SASL_PLAINTEXT"
            )
        if self.ssl_keyfile is not None and self.ssl_certfile is None:
            raise ValueError("ssl_keyfile is set without ssl_certfile")
        return self

    @property
    def embedded(self) -> bool:
        """True when no broker is configured, so that the embedded one is to be started."""
        return not self.bootstrap_servers

    @property
    def uses_sasl(self) -> bool:
        return self.security_protocol.startswith("SASL")

    @property
    def uses_tls(self) -> bool:
        return self.security_protocol.endswith("SSL")

    def kafka_python(self) -> dict[str, Any]:
        """Connection options for every kafka-python client (admin, consumer, producer)."""
        options: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap_servers.split(","),
            "security_protocol": self.security_protocol,
            "request_timeout_ms": int(self.request_timeout_s * 1000),
            "reconnect_backoff_max_ms": 1_000,  # 30 s by default: how long a broker that is back goes unnoticed
        }
        if self.uses_tls:
            options |= {
                "ssl_cafile": self.ssl_cafile,
                "ssl_certfile": self.ssl_certfile,
                "ssl_keyfile": self.ssl_keyfile,
                "ssl_password": _reveal(self.ssl_key_password),
                "ssl_check_hostname": self.ssl_check_hostname,
            }
        if self.uses_sasl:
            options |= {
                "sasl_mechanism": self.sasl_mechanism,
                "sasl_plain_username": self.sasl_username,
                "sasl_plain_password": _reveal(self.sasl_password),
            }
        return options

    def confluent(self) -> dict[str, Any]:
        """Connection options for every confluent-kafka (librdkafka) client."""
        options: dict[str, Any] = {
            "bootstrap.servers": self.bootstrap_servers,
            "security.protocol": self.security_protocol,
            "socket.timeout.ms": int(self.request_timeout_s * 1000),
            "reconnect.backoff.max.ms": 2_000,
            "log_level": 2,  # a broker that is away is told of once, by the client's error callback
        }
        if self.uses_tls:
            options |= {
                "ssl.ca.location": self.ssl_cafile,
                "ssl.certificate.location": self.ssl_certfile,
                "ssl.key.location": self.ssl_keyfile,
                "ssl.key.password": _reveal(self.ssl_key_password),
                "ssl.endpoint.identification.algorithm": "https" if self.ssl_check_hostname else "none",
            }
        if self.uses_sasl:
            options |= {
                "sasl.mechanism": self.sasl_mechanism,
                "sasl.username": self.sasl_username,
                "sasl.password": _reveal(self.sasl_password),
            }
        return {name: value for name, value in options.items() if value is not None}

    def aiokafka(self) -> dict[str, Any]:
        """Connection options for every aiokafka client."""
        options: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap_servers,
            "security_protocol": self.security_protocol,
            "request_timeout_ms": int(self.request_timeout_s * 1000),
        }
        if self.uses_tls:
            options["ssl_context"] = self.ssl_context()
        if self.uses_sasl:
            options |= {
                "sasl_mechanism": self.sasl_mechanism,
                "sasl_plain_username": self.sasl_username,
                "sasl_plain_password": _reveal(self.sasl_password),
            }
        return options

    def faust_credentials(self) -> "CredentialsT | None":
        """What `faust.App(broker_credentials=…)` takes; None on a plaintext broker."""
        import faust  # here, so that commands that only read settings don't pay for it

        if self.uses_sasl:
            return faust.SASLCredentials(
                username=self.sasl_username,
                password=_reveal(self.sasl_password),
                ssl_context=self.ssl_context() if self.uses_tls else None,
                mechanism=self.sasl_mechanism,
            )
        return faust.SSLCredentials(self.ssl_context()) if self.uses_tls else None

    def ssl_context(self) -> ssl.SSLContext:
        """A client-side TLS context from the ssl_ settings; OSError for an unreadable file."""
        context = ssl.create_default_context(cafile=self.ssl_cafile)
        context.check_hostname = self.ssl_check_hostname
        if self.ssl_certfile is not None:
            context.load_cert_chain(self.ssl_certfile, self.ssl_keyfile, _reveal(self.ssl_key_password))
        return context


def _reveal(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
