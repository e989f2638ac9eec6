"""An operator goes back to an older adapter, and makes one again from the log, while the system runs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from events.clock import SystemClock
from streams.adapter_operations import adapters_on, release, rollback
from streams.settings import Settings
from tests.e2e.conftest import MakeSettings
from tests.servers import best_broker
from tests.storefront import Storefront, visits
from tests.streams.deadlines import wait_for
from tests.systems import quick_system

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.long,
    pytest.mark.parametrize("broker", [best_broker(os.environ)], indirect=True),
]
OFTEN = {"deep": False, "batch_units": 8, "publish_every_batches": 2, "snapshot_every_batches": 6}


def headwater(*arguments: str, settings: Settings) -> subprocess.CompletedProcess[str]:
    """The command line, with these settings."""
    return subprocess.run(
        [sys.executable, "-m", "cli.main", "adapters", *arguments],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path.cwd()), **settings.environment()},
        capture_output=True,
        text=True,
        timeout=240,
    )


def test_serving_goes_back_stays_there_and_goes_on_and_the_log_makes_the_same_adapter_again(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    settings = make_settings(learner={**OFTEN, "snapshot_dir": str(tmp_path / "learner")})
    kafka, storefront = settings.kafka, Storefront(settings)
    with quick_system(settings, recommenders=1, encoder=False, log_dir=tmp_path) as system:
        system.wait_ready()

        def serves() -> int:
            return int(system.metric("recommender-1", "headwater_model_version"))

        def made() -> int:
            return int(system.metric("learner", "headwater_model_version"))

        storefront.send(visits(400, users=40))
        wait_for(lambda: serves() >= 6, what="six adapters", timeout_s=90)
        target = adapters_on(kafka).published[2]
        rollback(kafka, name=target.name, reason="a test", clock=SystemClock())
        wait_for(lambda: serves() == target.version, what="the older adapter within a second", timeout_s=1)
        before = made()
        storefront.send(visits(300, users=40, first=10_000))
        wait_for(lambda: made() >= before + 3, what="more adapters", timeout_s=90)
        assert serves() == target.version
        listed = headwater("list", settings=settings)
        assert (listed.returncode, target.name in listed.stdout, "pinned" in listed.stdout) == (0, True, True)
        newest = release(kafka)
        assert newest is not None
        assert newest.version >= before + 3
        wait_for(lambda: serves() >= newest.version, what="the newest adapter within a second", timeout_s=1)
        assert release(kafka) is None

        last = adapters_on(kafka).published[-1]
        shown = headwater("show", last.name, settings=settings)
        assert (shown.returncode, last.record.parent in shown.stdout) == (0, True)
        for one in (target, last):
            again = headwater("replay", "--to", one.name, settings=settings)
            assert (again.returncode, "bit-identical" in again.stdout) == (0, True), (
                again.stdout + again.stderr
            )
        other = settings.updated(learner={"seed": 99})
        differs = headwater("replay", "--to", target.name, settings=other)
        assert (differs.returncode, "other settings" in differs.stdout) == (1, True), differs.stderr
        assert "wide.layer0.weight: up to" in differs.stdout
        unknown = headwater("rollback", "000000-nothing", settings=settings)
        assert (unknown.returncode, "no adapter on the topic is called" in unknown.stderr) == (2, True)
