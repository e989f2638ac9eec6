"""`headwater up` leaves nothing behind, however it ends."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.streams.deadlines import wait_for

pytestmark = pytest.mark.e2e
CHILDREN = 5  # broker, Redis, recommender, learner, encoder


@contextmanager
def headwater_up(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], list[psutil.Process]]]:
    """`headwater up` with nothing configured, once all its children have been started."""
    own = ("HEADWATER_", "KAFKA_", "REDIS_")
    env = {name: text for name, text in os.environ.items() if not name.startswith(own)}
    env |= {"HEADWATER_LEARNER_SNAPSHOT_DIR": str(folder / "snapshots")}
    env |= {"KAFKA_SESSION_TIMEOUT_S": "2", "KAFKA_HEARTBEAT_S": "0.5"}
    env |= {"PYTHONPATH": str(Path(__file__).parents[2])}
    argv = [sys.executable, "-m", "cli.main", "up", "--logs", str(folder)]
    with (folder / "up.log").open("wb") as log:
        process = subprocess.Popen(argv, env=env, stdout=log, stderr=log, cwd=folder)
    children: list[psutil.Process] = []

    def started() -> bool:
        assert process.poll() is None, (folder / "up.log").read_text()
        children[:] = psutil.Process(process.pid).children(recursive=True)
        return len(children) >= CHILDREN

    try:
        wait_for(started, what="the children", timeout_s=60)
        yield process, children
    finally:
        process.kill()
        process.wait()


def folder_of_the_learner(told: str) -> Path:
    return Path(next(line for line in told.splitlines() if line.startswith("learner /")).split()[1])


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [one for one in processes if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


def test_children_die_with_it_when_it_is_killed(tmp_path: Path) -> None:
    with headwater_up(tmp_path) as (process, children):
        assert len(alive(children)) >= CHILDREN
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        wait_for(lambda: alive(children) == [], what="no child is left", timeout_s=10)


def test_it_stops_everything_on_sigterm_and_says_that_all_was_well(tmp_path: Path) -> None:
    with headwater_up(tmp_path) as (process, children):
        wait_for(lambda: "learner /" in (tmp_path / "up.log").read_text(), what="the addresses", timeout_s=60)
        snapshots = folder_of_the_learner((tmp_path / "up.log").read_text())
        assert snapshots.is_dir()
        process.terminate()
        assert process.wait(timeout=60) == 0, (tmp_path / "up.log").read_text()
        assert alive(children) == []
    # The embedded broker's log is gone: what the learner made of it would only mislead the next one.
    assert not snapshots.exists()
    assert not (tmp_path / "snapshots").exists()
