"""The real brokers that tests run on: the embedded one always, Apache Kafka where it is at hand."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from streams import settings
from streams.embedded import EmbeddedBroker
from streams.kafka_home import KafkaHome
from streams.settings import KafkaSettings

EMBEDDED = "embedded"
KAFKA = "kafka"


@dataclass(frozen=True)
class Broker:
    """A running broker and the settings that suit it."""

    kind: str
    kafka: KafkaSettings


def broker_kinds(environ: Mapping[str, str]) -> list[str]:
    """The brokers to run a test on: Apache Kafka too with KAFKA_HOME or KAFKA_BOOTSTRAP_SERVERS."""
    real = environ.get("KAFKA_HOME") or environ.get("KAFKA_BOOTSTRAP_SERVERS")
    return [EMBEDDED, KAFKA] if real else [EMBEDDED]


def best_broker(environ: Mapping[str, str]) -> str:
    """The one broker to run a test on whose subject is not the broker: Apache Kafka where it is at hand."""
    return broker_kinds(environ)[-1]


@contextmanager
def running_broker(kind: str, *, environ: Mapping[str, str]) -> Iterator[Broker]:
    """A broker of `kind`, started unless it is one that KAFKA_BOOTSTRAP_SERVERS names."""
    if kind == EMBEDDED:
        with EmbeddedBroker() as embedded:
            yield Broker(kind, _quick(embedded.bootstrap_servers))
    elif environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        given = {name: text for name, text in environ.items() if name.startswith("KAFKA_")}
        yield Broker(kind, settings.load(given).kafka)
    else:
        with KafkaHome(Path(environ["KAFKA_HOME"])) as home:
            yield Broker(kind, KafkaSettings(bootstrap_servers=home.bootstrap_servers, partitions=4))


def _quick(bootstrap_servers: str) -> KafkaSettings:
    """The embedded broker takes half the session timeout to let a group form, so the timeout is short."""
    return KafkaSettings(
        bootstrap_servers=bootstrap_servers,
        partitions=4,
        session_timeout_s=2.0,
        heartbeat_s=0.5,
        fetch_wait_ms=20,
        fetch_min_bytes=1,
    )
