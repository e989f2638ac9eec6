"""Workers as forks of one process that has imported the program: a start costs a second, not ten.

The command, its environment and its log are those of a worker that is started as such; tests/e2e/test_up.py,
test_compose_services.py and tests/demo start the commands themselves.
"""

import atexit
import subprocess
import tempfile
import threading
import time
from functools import cache
from pathlib import Path

from bench.chaos.launching import Forks
from streams.processes import Child
from streams.supervisor import ChildSpec

_POLL_S = 0.02


class _Template:
    """The process that is forked, for any number of supervisors' threads."""

    def __init__(self) -> None:
        folder = tempfile.mkdtemp(prefix="headwater-test-template-")
        self._forks = Forks(log=Path(folder) / "template.log")
        self._lock = threading.Lock()
        self._codes: dict[int, int] = {}
        self._forks.__enter__()
        atexit.register(self._forks.__exit__, None, None, None)

    def start(self, spec: ChildSpec) -> int:
        assert spec.env is not None
        assert spec.log_file is not None
        spec.log_file.parent.mkdir(parents=True, exist_ok=True)
        _python, flag, *command = spec.argv
        assert flag == "-m", spec.argv
        with self._lock:
            return self._forks.start(spec.name, command=command, env=spec.env, log=spec.log_file)

    def code(self, pid: int) -> int | None:
        with self._lock:
            if pid not in self._codes:
                self._codes |= self._forks.ended()
            return self._codes.get(pid)


@cache
def _template() -> _Template:
    return _Template()


class _Fork:
    """What Child needs to know of a process that is not ours but the template's."""

    def __init__(self, template: _Template, pid: int) -> None:
        self._template = template
        self.pid = pid

    def poll(self) -> int | None:
        return self._template.code(self.pid)

    def wait(self, timeout: float | None = None) -> int:
        deadline = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("a fork", timeout or 0.0)
            time.sleep(_POLL_S)
        return code


def forked(spec: ChildSpec) -> Child:
    """For Supervisor and System: the child as a fork."""
    template = _template()
    return Child(_Fork(template, template.start(spec)), name=spec.name, log_file=spec.log_file)
