import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from streams.errors import ProcessError
from streams.processes import describe_exit, free_port, spawn
from tests.streams.deadlines import wait_for

ROOT = Path(__file__).parents[2]
FOR_EVER = [sys.executable, "-c", "import signal\nwhile True: signal.pause()"]
PARENT = """
import signal, sys
from streams.processes import spawn
program = "import signal\\nwhile True: signal.pause()"
child = spawn([sys.executable, "-c", program], name="child", watch={watch})
print(child.pid, flush=True)
while True: signal.pause()
"""


def _gone(pid: int) -> bool:
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def _family(pid: int) -> list[int]:
    return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]


@pytest.mark.parametrize("watch", [False, True], ids=["kernel signal", "watching process"])
def test_child_dies_when_its_parent_is_killed_with_9(watch: bool) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT.format(watch=watch)], stdout=subprocess.PIPE, cwd=ROOT
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        if watch:  # the watcher starts the program itself
            wait_for(lambda: len(_family(child)) == 2, what="the program below its watcher")
        family = _family(child)
        assert not any(_gone(pid) for pid in family)
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
        wait_for(lambda: all(_gone(pid) for pid in family), what="the end of the children")


@pytest.mark.parametrize("watch", [False, True], ids=["kernel signal", "watching process"])
def test_return_code_and_output_are_the_programs(tmp_path: Path, watch: bool) -> None:
    log = tmp_path / "logs" / "child.log"
    program = [sys.executable, "-c", "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"]
    child = spawn(program, name="child", log_file=log, watch=watch)
    assert child.wait(timeout_s=20) == 3
    assert sorted(child.log_tail().splitlines()) == ["err", "out"]


@pytest.mark.parametrize("watch", [False, True], ids=["kernel signal", "watching process"])
def test_stop_lets_the_child_finish(tmp_path: Path, watch: bool) -> None:
    program = (
        "import signal\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])\n"
        "print('ready', flush=True)\n"
        "signal.sigwait([signal.SIGTERM])\n"
        "print('finished', flush=True)\n"
    )
    child = spawn([sys.executable, "-c", program], name="child", log_file=tmp_path / "child.log", watch=watch)
    child.wait_until(lambda: "ready" in child.log_tail(), timeout_s=20, what="ready line")
    assert child.stop(timeout_s=20) == 0
    assert child.log_tail().splitlines() == ["ready", "finished"]


def test_watcher_passes_no_signal_on_to_a_program_that_gets_it_with_the_group(tmp_path: Path) -> None:
    program = (
        "import signal\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])\n"
        "print('ready', flush=True)\n"
        "print('told again' if signal.sigtimedwait([signal.SIGTERM], 0.5) else 'not told', flush=True)\n"
    )
    child = spawn([sys.executable, "-c", program], name="child", log_file=tmp_path / "child.log", watch=True)
    child.wait_until(lambda: "ready" in child.log_tail(), timeout_s=20, what="ready line")
    os.kill(child.pid, signal.SIGTERM)  # the watcher alone
    assert child.wait(timeout_s=20) == 0
    assert child.log_tail().splitlines() == ["ready", "not told"]


def test_stop_kills_a_child_that_does_not_listen(tmp_path: Path) -> None:
    program = (
        "import signal\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print('ready', flush=True)\n"
        "while True: signal.pause()\n"
    )
    child = spawn([sys.executable, "-c", program], name="child", log_file=tmp_path / "child.log")
    child.wait_until(lambda: "ready" in child.log_tail(), timeout_s=20, what="ready line")
    assert child.stop(timeout_s=0.1) == -signal.SIGKILL


def test_kill_takes_what_the_child_started_with_it(tmp_path: Path) -> None:
    program = (
        "import subprocess\n"
        f"p = subprocess.Popen({FOR_EVER!r})\n"
        "print('ready', p.pid, flush=True)\n"
        "p.wait()\n"
    )
    child = spawn([sys.executable, "-c", program], name="child", log_file=tmp_path / "child.log")
    child.wait_until(lambda: "ready" in child.log_tail(), timeout_s=20, what="ready line")
    grandchild = int(child.log_tail().split()[1])
    child.kill()
    wait_for(lambda: _gone(grandchild), what="the end of the grandchild")
    child.terminate()  # does nothing to a child that has ended
    assert child.returncode == -signal.SIGKILL


def test_program_that_does_not_exist_says_so(tmp_path: Path) -> None:
    child = spawn([str(tmp_path / "nothing")], name="child", log_file=tmp_path / "child.log")
    with pytest.raises(ProcessError, match=r"child ended with code 127 before a start\ncannot run .*nothing"):
        child.wait_until(lambda: False, timeout_s=20, what="a start")


def test_waiting_for_a_child_ends_at_the_deadline() -> None:
    child = spawn(FOR_EVER, name="child")
    with pytest.raises(ProcessError, match=r"child: no sign of life within 0.05 s"):
        child.wait_until(lambda: False, timeout_s=0.05, what="sign of life")
    assert child.wait(timeout_s=0.01) is None
    child.kill()


def test_environment_is_what_was_given(tmp_path: Path) -> None:
    program = [sys.executable, "-I", "-c", "import os; print(sorted(os.environ))"]
    child = spawn(program, name="child", env={"ONLY": "1"}, log_file=tmp_path / "child.log")
    child.wait(timeout_s=20)
    assert "'ONLY'" in child.log_tail()
    assert "'PATH'" not in child.log_tail()


def test_nothing_to_run_is_refused() -> None:
    with pytest.raises(ProcessError, match="nothing to run"):
        spawn([], name="child")


def test_exits_in_words() -> None:
    assert describe_exit(-signal.SIGSEGV) == "signal SIGSEGV"
    assert describe_exit(0) == "code 0"


def test_free_ports_can_be_bound() -> None:
    assert 1024 <= free_port() <= 65_535
