import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from streams.errors import ProcessError
from streams.restarts import RestartPolicy
from streams.supervisor import ChildSpec, Event, Supervisor, What
from tests.streams.deadlines import wait_for

ROOT = Path(__file__).parents[2]
FOR_EVER = (sys.executable, "-c", "import signal\nwhile True: signal.pause()")
STUBBORN = (
    sys.executable,
    "-c",
    "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('deaf', flush=True)\n"
    "while True: signal.pause()",
)
QUICK = RestartPolicy(first_delay_s=0.01, max_delay_s=0.05, loop_crashes=50)


def _crash(code: int = 1) -> tuple[str, ...]:
    return (sys.executable, "-I", "-S", "-c", f"import sys; print('oops'); sys.exit({code})")


class _Running:
    """A supervisor on a thread of its own, stopped at the end of the `with`."""

    def __init__(
        self, *specs: ChildSpec, policy: RestartPolicy = QUICK, stop_timeout_s: float = 10.0
    ) -> None:
        self.events: list[Event] = []
        self.supervisor = Supervisor(
            specs, policy=policy, on_event=self.events.append, stop_timeout_s=stop_timeout_s
        )
        self.clean: bool | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        self.clean = self.supervisor.run()

    def __enter__(self) -> "_Running":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.supervisor.stop()
        self.join()

    def join(self) -> None:
        self._thread.join(30)
        assert not self._thread.is_alive()

    def saw(self, what: What) -> Callable[[], bool]:
        return lambda: any(event.what is what for event in self.events)


def test_killed_child_is_started_again() -> None:
    with _Running(ChildSpec("worker", FOR_EVER), ChildSpec("other", FOR_EVER)) as running:
        wait_for(lambda: len(running.supervisor.pids) == 2, what="both children")
        first = running.supervisor.pids
        os.kill(first["worker"], signal.SIGKILL)
        wait_for(lambda: running.supervisor.restarts["worker"] == 1, what="the restart")
        again = running.supervisor.pids
        assert again["worker"] != first["worker"]
        assert again["other"] == first["other"]
        crash = next(event for event in running.events if event.what is What.CRASHED)
        assert (crash.child, crash.detail, crash.delay_s) == ("worker", "signal SIGKILL", 0.01)
    assert running.supervisor.restarts == {"worker": 1, "other": 0}


def test_crash_is_reported_with_the_end_of_the_log(tmp_path: Path) -> None:
    spec = ChildSpec("worker", _crash(), log_file=tmp_path / "worker.log")
    with _Running(spec) as running:
        wait_for(running.saw(What.CRASHED), what="the crash")
    assert running.events[1].detail == "code 1\noops"


def test_crash_loop_is_visible_and_retried_slowly() -> None:
    policy = RestartPolicy(first_delay_s=0.01, max_delay_s=600, loop_crashes=3)
    with _Running(ChildSpec("worker", _crash()), policy=policy) as running:
        wait_for(lambda: running.supervisor.crash_looping == ["worker"], what="the crash loop")
        event = running.events[-1]
        assert (event.what, event.delay_s) == (What.CRASH_LOOP, 600)
        assert running.supervisor.restarts == {"worker": 2}


def test_crash_loop_ends_everything_where_the_policy_gives_up() -> None:
    policy = RestartPolicy(first_delay_s=0.01, max_delay_s=0.02, loop_crashes=2, give_up=True)
    with _Running(ChildSpec("worker", _crash()), ChildSpec("other", FOR_EVER), policy=policy) as running:
        running.join()
    assert running.clean is False
    assert running.events[-1].child == "other"
    assert running.events[-1].what is What.STOPPED


def test_it_ends_when_every_child_has_ended_well() -> None:
    with _Running(ChildSpec("task", _crash(0)), ChildSpec("task2", _crash(0))) as running:
        running.join()
    assert running.clean is True
    assert [event.what for event in running.events].count(What.ENDED) == 2


def test_crash_of_a_child_that_is_not_restarted_ends_everything() -> None:
    with _Running(ChildSpec("task", _crash(), restart=False), ChildSpec("other", FOR_EVER)) as running:
        running.join()
    assert running.clean is False
    assert running.supervisor.pids == {}


def test_child_that_does_not_stop_is_killed_at_the_timeout(tmp_path: Path) -> None:
    log = tmp_path / "deaf.log"
    with _Running(ChildSpec("deaf", STUBBORN, log_file=log), stop_timeout_s=0.2) as running:
        wait_for(lambda: log.exists() and "deaf" in log.read_text(), what="the child's start")
    assert running.events[-1].what is What.KILLED


def test_names_must_differ() -> None:
    with pytest.raises(ProcessError, match="names of their own, got a, a"):
        Supervisor([ChildSpec("a", FOR_EVER), ChildSpec("a", FOR_EVER)])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_to_the_supervisor_stops_its_children(number: signal.Signals) -> None:
    program = (
        "from streams.supervisor import *\n"
        f"spec = ChildSpec('worker', {FOR_EVER!r})\n"
        "done = Supervisor([spec], on_event=lambda e: print(e.what.value, e.detail, flush=True))\n"
        "print(done.run_until_signal(), flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as supervisor:
        assert supervisor.stdout is not None
        child = int(supervisor.stdout.readline().removeprefix("started pid "))
        assert psutil.pid_exists(child)
        supervisor.send_signal(number)
        assert supervisor.stdout.read().splitlines() == ["stopped signal SIGTERM", "True"]
        assert supervisor.wait(20) == 0
        assert not psutil.pid_exists(child)
