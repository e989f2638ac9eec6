"""Child processes that end with their parent, even when it is killed with -9.

A child is started through exec_child.py, in a session of its own: Ctrl-C in the terminal reaches the parent
only, which then stops its children in order. On Linux the kernel's parent-death signal belongs to the
*thread* that spawned the child, so spawn from the main thread or from one that outlives the child.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from streams.errors import ProcessError

_EXEC_CHILD = Path(__file__).with_name("exec_child.py")
_POLL_S = 0.02
_TAIL_BYTES = 16_384


class Process(Protocol):
    """What a Child needs of subprocess.Popen."""

    @property
    def pid(self) -> int: ...
    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...


class Child:
    """A running (or ended) child process, its name and its log file."""

    def __init__(self, process: Process, *, name: str, log_file: Path | None) -> None:
        self.name = name
        self.log_file = log_file
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """None while it runs; negative: the number of the signal that ended it."""
        return self._process.poll()

    @property
    def running(self) -> bool:
        return self.returncode is None

    def signal(self, number: signal.Signals) -> None:
        """Send `number` to the child and to whatever it started; nothing happens if it has ended."""
        if self.running:
            try:
                os.killpg(self._process.pid, number)
            except ProcessLookupError:
                return  # it ended just now

    def terminate(self) -> None:
        """SIGTERM: the child is to finish what it has in hand."""
        self.signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.signal(signal.SIGKILL)
        self._process.wait()

    def wait(self, *, timeout_s: float) -> int | None:
        """The return code, or None if it still runs after `timeout_s`."""
        try:
            return self._process.wait(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def stop(self, *, timeout_s: float = 10.0) -> int:
        """SIGTERM, and SIGKILL if it still runs after `timeout_s`; the return code."""
        self.terminate()
        if self.wait(timeout_s=timeout_s) is None:
            self.kill()
        return self._process.wait()

    def log_tail(self, *, lines: int = 20) -> str:
        """The last lines of the child's log; empty without a log file."""
        if self.log_file is None or not self.log_file.exists():
            return ""
        with self.log_file.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - _TAIL_BYTES))
            return "\n".join(log.read().decode(errors="replace").splitlines()[-lines:])

    def wait_until(self, ready: Callable[[], bool], *, timeout_s: float, what: str) -> None:
        """Return once `ready()` is true.

        Raises ProcessError, with the end of the log, if the child ends or `timeout_s` passes before that.
        """
        deadline = time.monotonic() + timeout_s
        while not ready():
            if (code := self.returncode) is not None:
                raise ProcessError(
                    f"{self.name} ended with {describe_exit(code)} before {what}\n{self.log_tail()}"
                )
            if time.monotonic() > deadline:
                raise ProcessError(f"{self.name}: no {what} within {timeout_s:g} s\n{self.log_tail()}")
            time.sleep(_POLL_S)


def spawn(
    argv: Sequence[str],
    *,
    name: str,
    env: Mapping[str, str] | None = None,
    log_file: Path | None = None,
    cwd: Path | None = None,
    watch: bool = not sys.platform.startswith("linux"),
) -> Child:
    """Start `argv` as a child that dies with this process.

    env: the child's whole environment; this process's own when not given. log_file: stdout and stderr are
    appended to it; without it they go where this process's go. watch: use a watching process in place of the
    kernel's parent-death signal, which is what other systems than Linux have.

    Raises ProcessError if the operating system refuses. A program that doesn't exist ends with code 127.
    """
    if not argv:
        raise ProcessError(f"{name}: nothing to run")
    mode = "watch" if watch else "signal"
    command = [sys.executable, "-I", "-S", str(_EXEC_CHILD), str(os.getpid()), mode, "--", *argv]
    output = None
    try:
        if log_file is not None:
            log_file.parent.mkdir(parents=True, exist_ok=True)
            output = log_file.open("ab")
        process = subprocess.Popen(
            command,
            env=None if env is None else dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    except OSError as error:
        raise ProcessError(f"{name}: cannot be started: {error}") from error
    finally:
        if output is not None:
            output.close()
    return Child(process, name=name, log_file=log_file)


def describe_exit(code: int) -> str:
    """A return code in words.

    >>> describe_exit(-9), describe_exit(1)
    ('signal SIGKILL', 'code 1')
    """
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"code {code}"


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port that was free a moment ago; another process may take it, so be ready to try again."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port
