"""Runs named child processes, starts crashed ones again, and stops them all in order.

Faust workers exit on an agent's error rather than lose an event; this is what starts them again.
"""

import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from streams.errors import ProcessError
from streams.processes import Child, describe_exit, spawn
from streams.restarts import RestartHistory, RestartPolicy

_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """One child as it is to run."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] | None = None  # the whole environment; None: this process's own
    log_file: Path | None = None
    restart: bool = True  # False: a crash, like an end with code 0, is its end


Start = Callable[[ChildSpec], Child]


def _spawned(spec: ChildSpec) -> Child:
    return spawn(spec.argv, name=spec.name, env=spec.env, log_file=spec.log_file)


class What(StrEnum):
    STARTED = "started"
    ENDED = "ended"  # with code 0, or a child that isn't restarted
    CRASHED = "crashed"  # and will be started again after delay_s
    CRASH_LOOP = "crash-loop"
    STOPPED = "stopped"
    KILLED = "killed"  # it didn't stop in time


@dataclass(frozen=True, slots=True)
class Event:
    """What happened to a child."""

    child: str
    what: What
    detail: str = ""
    delay_s: float = 0.0


@dataclass(slots=True)
class _Slot:
    spec: ChildSpec
    history: RestartHistory
    child: Child | None = None
    started_s: float = 0.0
    start_at_s: float | None = 0.0  # None: not to be started again
    restarts: int = 0
    crash_loop: bool = False


class Supervisor:
    """`run` from one thread, the one that starts every child; `stop` and the properties from any.

    on_event is called on that thread for everything that happens to a child; it must not raise. `start` makes a
    child of its description; without it the description's command is run.
    """

    def __init__(
        self,
        specs: Sequence[ChildSpec],
        *,
        policy: RestartPolicy | None = None,
        on_event: Callable[[Event], None] = lambda _event: None,
        stop_timeout_s: float = 15.0,
        start: Start | None = None,
    ) -> None:
        names = [spec.name for spec in specs]
        if len(set(names)) != len(names):
            raise ProcessError(f"children must have names of their own, got {', '.join(names)}")
        self._policy = policy or RestartPolicy()
        self._slots = {spec.name: _Slot(spec, RestartHistory(self._policy)) for spec in specs}
        self._on_event = on_event
        self._stop_timeout_s = stop_timeout_s
        self._start_child = start or _spawned
        self._stopping = threading.Event()

    @property
    def restarts(self) -> dict[str, int]:
        """How often each child has been started again."""
        return {name: slot.restarts for name, slot in self._slots.items()}

    @property
    def crash_looping(self) -> list[str]:
        """The children that are in a crash loop."""
        return [name for name, slot in self._slots.items() if slot.crash_loop]

    @property
    def pids(self) -> dict[str, int]:
        """The process ids of the children that run now."""
        children = {name: slot.child for name, slot in self._slots.items()}
        return {name: child.pid for name, child in children.items() if child is not None and child.running}

    def stop(self) -> None:
        """Ask `run` to stop every child and return; from any thread or a signal handler."""
        self._stopping.set()

    def run(self) -> bool:
        """Keep the children running until `stop`, or until none is left to run.

        Then SIGTERM to all at once, and SIGKILL to those still there after `stop_timeout_s`. False if it
        ended because of a crash loop (if the policy gives up) or a crash of a child that isn't restarted.
        """
        clean = True
        try:
            while not self._stopping.is_set() and clean:
                for slot in self._slots.values():
                    clean = self._look_after(slot, now_s=time.monotonic()) and clean
                if all(slot.child is None and slot.start_at_s is None for slot in self._slots.values()):
                    break
                self._stopping.wait(_POLL_S)
        finally:
            self._stop_all()
        return clean

    def run_until_signal(self) -> bool:
        """`run`, which SIGTERM and SIGINT stop; from the main thread."""
        with _on_signals(self.stop):
            return self.run()

    def _look_after(self, slot: _Slot, *, now_s: float) -> bool:
        """Start the child if it is due, note its end; False if everything is to stop."""
        if slot.child is None:
            if slot.start_at_s is not None and now_s >= slot.start_at_s:
                self._start(slot, now_s=now_s)
            return True
        code = slot.child.returncode
        if code is None:
            slot.crash_loop = slot.crash_loop and now_s - slot.started_s < self._policy.healthy_s
            return True
        tail = slot.child.log_tail(lines=5)
        slot.child = None
        if code == 0 or not slot.spec.restart:
            slot.start_at_s = None
            self._tell(slot, What.ENDED, detail=describe_exit(code))
            return code == 0
        return self._crashed(slot, detail=f"{describe_exit(code)}\n{tail}".rstrip(), now_s=now_s)

    def _crashed(self, slot: _Slot, *, detail: str, now_s: float) -> bool:
        decision = slot.history.crashed(started_s=slot.started_s, now_s=now_s)
        slot.start_at_s = now_s + decision.delay_s
        slot.crash_loop = decision.crash_loop
        what = What.CRASH_LOOP if decision.crash_loop else What.CRASHED
        self._tell(slot, what, detail=detail, delay_s=decision.delay_s)
        return not (decision.crash_loop and self._policy.give_up)

    def _start(self, slot: _Slot, *, now_s: float) -> None:
        spec = slot.spec
        again = slot.started_s > 0
        slot.child = self._start_child(spec)
        slot.started_s = now_s
        slot.start_at_s = None
        slot.restarts += again
        self._tell(slot, What.STARTED, detail=f"pid {slot.child.pid}")

    def _stop_all(self) -> None:
        running = [slot for slot in self._slots.values() if slot.child is not None]
        for slot in running:
            if slot.child is not None:
                slot.child.terminate()
        deadline = time.monotonic() + self._stop_timeout_s
        for slot in running:
            if slot.child is None:
                continue
            code = slot.child.wait(timeout_s=max(0.0, deadline - time.monotonic()))
            if code is None:
                slot.child.kill()
                self._tell(slot, What.KILLED, detail=f"still running after {self._stop_timeout_s:g} s")
            else:
                self._tell(slot, What.STOPPED, detail=describe_exit(code))
            slot.child = None

    def _tell(self, slot: _Slot, what: What, *, detail: str, delay_s: float = 0.0) -> None:
        self._on_event(Event(slot.spec.name, what, detail=detail, delay_s=delay_s))


@contextmanager
def _on_signals(stop: Callable[[], None]) -> Iterator[None]:
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, lambda _number, _frame: stop()) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
