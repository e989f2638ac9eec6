"""The workers of a run: started, hit, started again at once, and asked whether they are ready."""

import os
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.chaos.launching import Launcher
from bench.errors import BenchError
from streams.processes import describe_exit, free_port
from streams.settings import Settings

_RETRY_S = 0.2  # before a worker that fell by itself is started again
_TIMEOUT_S = 1.0


@dataclass(slots=True)
class _Worker:
    name: str
    role: str
    port: int
    pid: int | None = None
    start_at_s: float = 0.0
    starts: int = 0
    crashes: list[str] = field(default_factory=list)
    hit: bool = False


class Workers:
    """Named workers. `look_after` starts what is not running; call it often, from the thread that made this."""

    def __init__(
        self,
        names: Sequence[str],
        *,
        settings: Settings,
        launcher: Launcher,
        entry: str,
        log_dir: Path,
    ) -> None:
        self._settings = settings
        self._launcher = launcher
        self._entry = entry
        self._log_dir = log_dir
        self._workers = {name: _Worker(name, name.partition("-")[0], free_port()) for name in names}

    def of(self, role: str) -> list[str]:
        """The names of the role's workers."""
        return [worker.name for worker in self._workers.values() if worker.role == role]

    def running(self, name: str) -> bool:
        return self._workers[name].pid is not None

    def starts(self, name: str) -> int:
        """How often the worker was started so far."""
        return self._workers[name].starts

    @property
    def crashes(self) -> dict[str, list[str]]:
        """How workers ended that nobody had hit, by name."""
        return {worker.name: list(worker.crashes) for worker in self._workers.values() if worker.crashes}

    def look_after(self) -> None:
        """Take note of those that have ended, and start what is due."""
        now_s = time.monotonic()
        codes = self._launcher.ended()
        for worker in self._workers.values():
            if worker.pid in codes:
                if not worker.hit:
                    worker.crashes.append(describe_exit(codes[worker.pid]))
                worker.start_at_s = now_s if worker.hit else now_s + _RETRY_S
                worker.pid, worker.hit = None, False
            if worker.pid is None and now_s >= worker.start_at_s:
                self._start(worker)

    def hit(self, name: str, number: signal.Signals) -> None:
        """Send the signal; the worker is started again once it has ended."""
        worker = self._workers[name]
        if worker.pid is None:
            raise BenchError(f"{name} is not running")
        worker.hit = True
        os.kill(worker.pid, number)

    def ready(self, name: str) -> bool:
        """Whether the worker runs and says that it is ready."""
        worker = self._workers[name]
        if worker.pid is None:
            return False
        try:
            url = f"http://127.0.0.1:{worker.port}/metrics"
            with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer:
                return b"\nheadwater_ready 1.0" in answer.read()
        except (urllib.error.URLError, OSError):
            return False

    def log_tails(self, *, lines: int = 15) -> str:
        """The ends of all logs."""
        tails = []
        for name in self._workers:
            path = self._log_dir / f"{name}.log"
            text = path.read_text(errors="replace").splitlines()[-lines:] if path.exists() else ["no log yet"]
            tails += [f"--- {name}", *text]
        return "\n".join(tails)

    def stop(self, *, timeout_s: float = 15.0) -> None:
        """SIGTERM to all, and SIGKILL to those that are there after `timeout_s`."""
        running = {worker.pid for worker in self._workers.values() if worker.pid is not None}
        for pid in running:
            os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + timeout_s
        while running and time.monotonic() < deadline:
            running -= self._launcher.ended().keys()
            time.sleep(0.05)
        self._launcher.close()

    def _start(self, worker: _Worker) -> None:
        own = {
            "HEADWATER_OBSERVABILITY_METRICS_PORT": str(worker.port),
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        }
        kept = {
            name: text
            for name, text in os.environ.items()
            if not name.startswith(("HEADWATER_", "KAFKA_", "REDIS_"))
        }
        worker.pid = self._launcher.start(
            worker.name,
            command=[self._entry, "worker", "--role", worker.role],
            env={**kept, **self._settings.environment(), **own},
            log=self._log_dir / f"{worker.name}.log",
        )
        worker.starts += 1
