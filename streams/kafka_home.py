"""Apache Kafka as a child process, from a folder with its jars: for tests and benchmarks on the real broker.

KAFKA_HOME is such a folder: it has `libs/` with kafka-server and its dependencies (a Kafka download, or its
Maven artifacts). One node in KRaft mode, broker and controller in one process; needs Java 17 or newer.
"""

import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from streams.errors import ProcessError, ServerUnavailable
from streams.kafka_admin import broker_answers
from streams.processes import Child, free_port, spawn

HOST = "127.0.0.1"
CLUSTER_ID = "headwaterheadwaterheaw"
FORMAT_TIMEOUT_S = 120.0
READY_TIMEOUT_S = 120.0
_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
num.network.threads=2
num.io.threads=4
log.cleaner.dedupe.buffer.size=16777216
"""
_LOG4J = """\
rootLogger.level=WARN
rootLogger.appenderRef.out.ref=out
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d %p %c{1} %m%n
"""


class KafkaHome:
    """One Apache Kafka node on free ports of 127.0.0.1. `kill` and `start` again keep its log.

    folder: keeps the data, the configuration and `kafka.log`; without it a temporary one that `stop` removes.
    properties: lines that add to server.properties and win over its own, with {port} and {controller_port}; a
    PLAINTEXT listener must stay at {port}.
    """

    def __init__(
        self, home: Path, *, folder: Path | None = None, heap: str = "512m", properties: str = ""
    ) -> None:
        if not any((home / "libs").glob("kafka*.jar")):
            raise ServerUnavailable(f"KAFKA_HOME is {home}; it must be a folder with Kafka's jars in libs/")
        java = shutil.which("java")
        if java is None:
            raise ServerUnavailable("Apache Kafka needs Java 17 or newer (Debian: openjdk-17-jre-headless)")
        self.port = free_port(HOST)
        self._controller_port = free_port(HOST)
        self._temporary = None if folder else tempfile.TemporaryDirectory(prefix="headwater-kafka-")
        self._folder = folder or Path(self._temporary.name if self._temporary else "")
        self._properties = properties
        self._log4j = self._folder / "log4j2.properties"
        # All of the heap at once: one that grows stops the broker to collect.
        self._java = [java, f"-Xmx{heap}", f"-Xms{heap}", "-XX:+UseSerialGC"]
        self._java += [f"-Dlog4j2.configurationFile={self._log4j}", "-cp", f"{home.resolve()}/libs/*"]
        self._child: Child | None = None

    @property
    def bootstrap_servers(self) -> str:
        """What KAFKA_BOOTSTRAP_SERVERS would be; the same after a restart."""
        return f"{HOST}:{self.port}"

    @property
    def child(self) -> Child:
        """The broker's process; ProcessError while it doesn't run."""
        if self._child is None:
            raise ProcessError("Apache Kafka has not been started")
        return self._child

    def start(self) -> Self:
        """Start it, formatting the data folder the first time, and wait until it answers (3 to 15 s)."""
        config = self._configure()
        self._child = spawn(
            [*self._java, "kafka.Kafka", str(config)], name="kafka", log_file=self._folder / "kafka.log"
        )
        self._child.wait_until(
            lambda: broker_answers(HOST, self.port), timeout_s=READY_TIMEOUT_S, what="answer to a request"
        )
        return self

    def kill(self) -> None:
        """kill -9: what was acknowledged is in the log of `start`'s next run."""
        self.child.kill()
        self._child = None

    def stop(self) -> None:
        """End it and remove a temporary folder. May be called twice."""
        if self._child is not None:
            self._child.kill()  # nothing to save: whoever wants the log calls `kill` and `start`
            self._child = None
        if self._temporary is not None:
            self._temporary.cleanup()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _configure(self) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True)
        data = self._folder / "data"
        config = self._folder / "server.properties"
        config.write_text(
            (_PROPERTIES + self._properties).format(
                host=HOST, port=self.port, controller_port=self._controller_port, data=data
            )
        )
        self._log4j.write_text(_LOG4J)
        if not (data / "meta.properties").exists():
            self._format(config)
        return config

    def _format(self, config: Path) -> None:
        tool = ["kafka.tools.StorageTool", "format", "--cluster-id", CLUSTER_ID, "--config", str(config)]
        try:
            done = subprocess.run(
                [*self._java, *tool], capture_output=True, text=True, timeout=FORMAT_TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise ProcessError(f"Kafka's storage was not formatted within {FORMAT_TIMEOUT_S:g} s") from error
        if done.returncode != 0:
            raise ProcessError(f"Kafka's storage could not be formatted:\n{done.stdout}{done.stderr}")
