"""Two ways to start a worker: the command itself, or a fork of a process that has imported the program."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from bench.errors import BenchError
from streams.processes import Child, spawn

_ONE_THREAD = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}  # a pool of threads does not survive a fork


class Launcher(Protocol):
    """Starts processes that die with this one. From one thread."""

    def start(self, name: str, *, command: Sequence[str], env: Mapping[str, str], log: Path) -> int:
        """Run the module `command[0]` with the other words as its arguments; its process id."""

    def ended(self) -> dict[int, int]:
        """Process id -> return code of those that ended since the last call."""

    def close(self) -> None:
        """Kill whatever still runs."""


class Commands:
    """Starts `python -m …` as `headwater up` does: a start pays for its imports."""

    def __init__(self) -> None:
        self._children: dict[int, Child] = {}

    def start(self, name: str, *, command: Sequence[str], env: Mapping[str, str], log: Path) -> int:
        """As Launcher.start."""
        child = spawn([sys.executable, "-m", *command], name=name, env=env, log_file=log)
        self._children[child.pid] = child
        return child.pid

    def ended(self) -> dict[int, int]:
        """As Launcher.ended."""
        codes = {pid: code for pid, child in self._children.items() if (code := child.returncode) is not None}
        for pid in codes:
            del self._children[pid]
        return codes

    def close(self) -> None:
        """As Launcher.close."""
        for child in self._children.values():
            child.kill()
        self._children.clear()


class Forks:
    """Starts forks of a template (bench.chaos.template); use it in a `with`, it is ready inside."""

    def __init__(self, *, log: Path) -> None:
        self._log = log
        self._template: subprocess.Popen[str] | None = None
        self._running: set[int] = set()

    def __enter__(self) -> Self:
        with self._log.open("ab") as log:
            self._template = subprocess.Popen(
                [sys.executable, "-m", "bench.chaos.template"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                bufsize=1,
                start_new_session=True,
                env={**os.environ, **_ONE_THREAD, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        self._answer()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._template is not None:
            self._template.kill()  # and with it its children
            self._template.wait()
            self._template = None

    def start(self, name: str, *, command: Sequence[str], env: Mapping[str, str], log: Path) -> int:  # noqa: ARG002
        """As Launcher.start."""
        request = {"command": list(command), "env": dict(env), "log": str(log)}
        pid = int(self._ask({"start": request})["pid"])
        self._running.add(pid)
        return pid

    def ended(self) -> dict[int, int]:
        """As Launcher.ended."""
        codes = {int(pid): code for pid, code in self._ask({"poll": None})["ended"].items()}
        self._running -= codes.keys()
        return codes

    def close(self) -> None:
        """Kill the workers; the template stays."""
        for pid in self._running:
            os.kill(pid, 9)
        while self._running:
            self.ended()

    def _ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        if self._template is None or self._template.stdin is None:
            raise BenchError("the template process is not running; use Forks in a `with`")
        self._template.stdin.write(json.dumps(request) + "\n")
        self._template.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        if self._template is None or self._template.stdout is None:
            raise BenchError("the template process is not running; use Forks in a `with`")
        line = self._template.stdout.readline()
        if not line:
            raise BenchError(f"the template process has ended; see {self._log}")
        answer: dict[str, Any] = json.loads(line)
        return answer
