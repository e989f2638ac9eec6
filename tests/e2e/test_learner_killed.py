"""A learner killed in mid-stream learns the same, to the last bit of every adapter that it publishes."""

import json
import os
import shutil
import signal
from pathlib import Path

import pytest

from events.topics import Topic
from streams.adapter_topic import SERVING_HEADER
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
EVERY_STEP = {"deep": False, "batch_units": 8, "publish_every_batches": 1, "snapshot_every_batches": 1000}


def adapters(storefront: Storefront) -> list[tuple[int, bytes | None]]:
    """Version and weights of every adapter published, in their order."""
    return [
        (json.loads(dict(record.headers)[SERVING_HEADER])["version"], record.value)
        for record in storefront.log(Topic.ADAPTERS)
    ]


def test_every_adapter_is_the_same_after_a_kill_and_in_a_life_without_one(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    killed, plain = tmp_path / "killed", tmp_path / "plain"
    settings = make_settings(learner={**EVERY_STEP, "snapshot_dir": str(killed)})
    storefront = Storefront(settings)
    with quick_system(settings, recommenders=0, encoder=False, log_dir=tmp_path) as system:
        system.wait_ready()
        storefront.send(visits(300, users=40))
        wait_for(lambda: len(adapters(storefront)) >= 5, what="adapters")
        os.kill(system.supervisor.pids["learner"], signal.SIGKILL)
        before = dict(adapters(storefront))
        wait_for(lambda: system.supervisor.restarts["learner"] == 1, what="a restart")
        storefront.send(visits(200, users=40, first=10_000))
        newest = max(before)
        wait_for(lambda: max(dict(adapters(storefront))) >= newest + 10, what="more adapters", timeout_s=60)
    first = adapters(storefront)
    assert len(first) >= 2 * newest + 10  # those before the kill were published again
    versions = dict(first)
    assert [one for one in first if versions[one[0]] != one[1]] == []
    assert len(set(versions.values())) == len(versions)

    plain.mkdir()
    shutil.copy(killed / "journal.jsonl", plain)
    with quick_system(
        settings.updated(learner={"snapshot_dir": str(plain)}),
        recommenders=0,
        encoder=False,
        log_dir=tmp_path,
    ):
        wait_for(
            lambda: max([0, *dict(adapters(storefront)[len(first) :])]) >= max(versions),
            what="the life without a kill",
            timeout_s=90,
        )
    again = [one for one in adapters(storefront)[len(first) :] if one[0] <= max(versions)]
    assert dict(again) == versions
