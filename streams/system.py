"""The whole system on one machine: servers where none are configured, topics, workers under a supervisor."""

import os
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from streams.embedded import EmbeddedBroker, EmbeddedRedis
from streams.errors import ProcessError
from streams.processes import free_port
from streams.settings import Settings
from streams.supervisor import ChildSpec, Event, Start, Supervisor
from streams.topics import ensure

EMBEDDED_FETCH_WAIT_MS = 20  # the embedded broker answers a held fetch late
_POLL_S = 0.1


@contextmanager
def servers(settings: Settings, *, log_dir: Path | None = None) -> Iterator[Settings]:
    """The settings with the addresses of a broker and a Redis that run: embedded ones where none is configured."""
    with ExitStack() as stack:
        if settings.kafka.embedded:
            broker = stack.enter_context(EmbeddedBroker(log_dir=log_dir))
            wait_ms = settings.kafka.fetch_wait_ms or EMBEDDED_FETCH_WAIT_MS
            settings = settings.updated(
                kafka={
                    "bootstrap_servers": broker.bootstrap_servers,
                    "fetch_wait_ms": wait_ms,
                    "fetch_min_bytes": 1,
                }
            )
        if settings.redis.embedded:
            redis = stack.enter_context(EmbeddedRedis(log_dir=log_dir))
            settings = settings.updated(redis={"url": redis.url})
        yield settings


class System:
    """Recommenders, a learner and an encoder as supervised children; use it in a `with`.

    It creates the topics that are missing, then starts the workers. `on_event` hears what happens to them, on
    the supervisor's thread; `start` is as the supervisor's. The children die with this process.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        recommenders: int = 1,
        learner: bool = True,
        encoder: bool = True,
        log_dir: Path | None = None,
        on_event: Callable[[Event], None] = lambda _event: None,
        start: Start | None = None,
    ) -> None:
        self.settings = settings
        self.log_dir = log_dir or Path(tempfile.mkdtemp(prefix="headwater-logs-"))
        roles = [f"recommender-{number}" for number in range(1, recommenders + 1)]
        roles += ["learner"] * learner + ["encoder"] * encoder
        self.metrics_ports = {name: free_port() for name in roles}
        specs = [self._spec(name) for name in roles]
        self.supervisor = Supervisor(specs, on_event=on_event, start=start)
        self._thread = threading.Thread(target=self.supervisor.run, name="supervisor", daemon=True)

    def __enter__(self) -> "System":
        ensure(self.settings.kafka)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.supervisor.stop()
        self._thread.join(30)

    def metrics(self, name: str) -> str:
        """The worker's metrics as Prometheus reads them; "" while it does not answer."""
        url = f"http://127.0.0.1:{self.metrics_ports[name]}/metrics"
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                return str(answer.read().decode())
        except (urllib.error.URLError, OSError):
            return ""

    def metric(self, name: str, series: str) -> float:
        """One series of a worker, as `headwater_events_total{topic="clicks"}`; 0 where there is none."""
        for line in self.metrics(name).splitlines():
            if line.startswith(f"{series} "):
                return float(line.rsplit(" ", 1)[1])
        return 0.0

    def ready(self) -> list[str]:
        """The workers that have their partitions and have read what they must know."""
        return [name for name in self.metrics_ports if self.metric(name, "headwater_ready") == 1.0]

    def wait_ready(
        self, *, timeout_s: float = 180.0, show: Callable[[list[str]], None] = lambda _waiting: None
    ) -> None:
        """Return once every worker is ready; ProcessError, with the end of a log, when one is not in time."""
        deadline = time.monotonic() + timeout_s
        while waiting := sorted(set(self.metrics_ports) - set(self.ready())):
            if time.monotonic() > deadline or self.supervisor.crash_looping:
                tails = "\n".join(self.log_tail(name) for name in waiting)
                raise ProcessError(f"not ready after {timeout_s:g} s: {', '.join(waiting)}\n{tails}")
            show(waiting)
            time.sleep(_POLL_S)

    def log_tail(self, name: str, *, lines: int = 8) -> str:
        """The last lines of a worker's log."""
        path = self.log_dir / f"{name}.log"
        if not path.exists():
            return f"{name}: no log yet"
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])

    def _spec(self, name: str) -> ChildSpec:
        role = name.partition("-")[0]
        own = {
            "HEADWATER_OBSERVABILITY_METRICS_PORT": str(self.metrics_ports[name]),
            "PYTHONUNBUFFERED": "1",
        }
        kept = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("HEADWATER_", "KAFKA_", "REDIS_"))
        }
        return ChildSpec(
            name=name,
            argv=[sys.executable, "-m", "cli.main", "worker", "--role", role],
            env={**kept, **self.settings.environment(), **own},
            log_file=self.log_dir / f"{name}.log",
        )
