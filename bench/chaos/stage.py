"""The servers of a chaos run: Redis, and a broker that may be killed if it keeps its log."""

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.chaos.config import SMALL_LEARNER, SMALL_SOURCES, ChaosConfig
from bench.errors import BenchError
from streams.kafka_home import KafkaHome
from streams.settings import Settings
from streams.system import servers

_QUICK = {
    "session_timeout_s": 2.0,
    "heartbeat_s": 0.5,
}  # the embedded broker waits half a session for a group
_PARTITIONS = 4


@dataclass(frozen=True, slots=True)
class Stage:
    """Settings that name servers that run, a folder for everything, and Apache Kafka where it is the broker."""

    settings: Settings
    folder: Path
    kafka: KafkaHome | None


@contextmanager
def staged(config: ChaosConfig, settings: Settings) -> Iterator[Stage]:
    """The stage, until the end of the `with`. BenchError where Apache Kafka is asked for and not at hand."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="headwater-chaos-")))
        home = None
        settings = settings.updated(redis={"url": "", "prefix": "chaos"})
        kafka: dict[str, Any] = {"bootstrap_servers": "", **_QUICK}
        if config.broker == "kafka":
            if config.kafka_home is None:
                raise BenchError(
                    "--broker kafka needs Apache Kafka: set KAFKA_HOME to a folder with its jars in libs/ "
                    "(or --kafka-home); a broker of yours is not killed"
                )
            home = stack.enter_context(KafkaHome(config.kafka_home, folder=folder / "kafka"))
            kafka = {"bootstrap_servers": home.bootstrap_servers}
        if config.commit_interval_s is not None:
            kafka["commit_interval_s"] = config.commit_interval_s
        own = {"topic_prefix": "chaos-", "partitions": _PARTITIONS}
        learner: dict[str, Any] = {"snapshot_dir": str(folder / "snapshots")}
        if config.size == "small":
            learner |= SMALL_LEARNER
            settings = settings.updated(sources=SMALL_SOURCES)
        ready = stack.enter_context(
            servers(settings.updated(kafka={**kafka, **own}, learner=learner), log_dir=folder)
        )
        yield Stage(ready, folder, home)
