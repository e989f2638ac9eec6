"""The servers that a benchmark runs on: embedded ones, or Apache Kafka where it is asked for."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal

from bench.errors import BenchError
from streams.kafka_home import KafkaHome
from streams.settings import Settings
from streams.system import servers

BrokerKind = Literal["embedded", "kafka"]


@contextmanager
def running(
    settings: Settings, *, broker: BrokerKind, kafka_home: Path | None, prefix: str
) -> Iterator[Settings]:
    """`settings` with a broker of that kind and a Redis that run, and `prefix` before every topic and key.

    kafka: the broker that KAFKA_BOOTSTRAP_SERVERS names, else one started from `kafka_home`. Redis is always
    embedded unless REDIS_URL names one. BenchError where there is neither broker.
    """
    with ExitStack() as stack:
        if broker == "embedded":
            settings = settings.updated(kafka={"bootstrap_servers": ""})
        elif settings.kafka.embedded:
            if kafka_home is None:
                raise BenchError(
                    "--broker kafka needs Apache Kafka: set KAFKA_HOME to a folder with its jars in libs/ "
                    "(or --kafka-home), or KAFKA_BOOTSTRAP_SERVERS to a running broker"
                )
            home = stack.enter_context(KafkaHome(kafka_home))
            settings = settings.updated(kafka={"bootstrap_servers": home.bootstrap_servers})
        ready = stack.enter_context(servers(settings))
        yield ready.updated(kafka={"topic_prefix": prefix}, redis={"prefix": f"hw-{prefix.strip('-')}"})
