"""Behind on a backlog, every event updates state and sources and slates wait; then all who wait get theirs."""

import os
import signal
from pathlib import Path

import pytest

from tests.e2e.conftest import MakeSettings
from tests.e2e.streaming import assert_exactly_once
from tests.servers import best_broker
from tests.storefront import Storefront, stored, visits
from tests.streams.deadlines import wait_for
from tests.systems import recommenders, wait_shared

pytestmark = [pytest.mark.e2e, pytest.mark.parametrize("broker", [best_broker(os.environ)], indirect=True)]
USERS = 150


def test_slates_wait_for_the_end_of_a_backlog_across_a_kill(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    settings = make_settings(serving={"behind_events": 50})
    storefront = Storefront(settings)
    with recommenders(settings, log_dir=tmp_path) as one:  # it also creates the topics
        wait_shared([one], partitions=settings.kafka.partitions)
        os.kill(one.supervisor.pids["recommender-1"], signal.SIGSTOP)
        sent = storefront.send(visits(9000, users=USERS))
        os.kill(one.supervisor.pids["recommender-1"], signal.SIGCONT)
        wait_for(lambda: _waiting(storefront) > 0, what="users wait")
        os.kill(one.supervisor.pids["recommender-1"], signal.SIGKILL)
        left = _waiting(storefront)
        assert left > 0
        wait_for(lambda: one.supervisor.restarts["recommender-1"] == 1, what="a restart")
        wait_shared([one], partitions=settings.kafka.partitions)
        storefront.wait_answered(sent)
        wait_for(lambda: _waiting(storefront) == 0, what="nobody waits")
        wait_for(
            lambda: one.metric("recommender-1", "headwater_source_events_total") == len(sent),
            what="sources know everything",
        )
    slates = storefront.slates()
    assert {slate.user_id for slate in slates} == {one.event.user_id for one in sent}
    assert len(slates) < len(sent) / 4  # most events asked for a slate, and most slates were never made
    assert_exactly_once(storefront, settings=settings)


def _waiting(storefront: Storefront) -> int:
    _, waiting, _ = stored([], settings=storefront.settings)
    return sum(waiting.values())
