"""SIGTERM while shoppers shop: the worker finishes what it has in hand within its deadline, the others go on."""

import os
import signal
from pathlib import Path

import pytest

from streams.agent import STOP_TIMEOUT_S
from tests.e2e.conftest import MakeSettings
from tests.e2e.streaming import assert_exactly_once, shoppers
from tests.servers import best_broker
from tests.storefront import Storefront
from tests.streams.deadlines import wait_for
from tests.systems import recommenders, wait_shared

pytestmark = [pytest.mark.e2e, pytest.mark.parametrize("broker", [best_broker(os.environ)], indirect=True)]


def test_worker_told_to_stop_under_load_drains_and_ends_well(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    settings = make_settings()
    storefront = Storefront(settings)
    with recommenders(settings, n=2, log_dir=tmp_path) as pair:
        wait_shared([pair], partitions=settings.kafka.partitions)
        with shoppers(storefront) as visited:
            wait_for(lambda: len(storefront.slates()) > 50, what="slates")
            os.kill(pair.supervisor.pids["recommender-1"], signal.SIGTERM)
            wait_for(
                lambda: "recommender-1" not in pair.supervisor.pids,
                what="it has drained",
                timeout_s=STOP_TIMEOUT_S + 2,
            )
            after = len(visited)
            wait_for(lambda: len(visited) > after + 200, what="shoppers go on")
        storefront.wait_answered(visited)
        # It ended with code 0: a worker that its own deadline had to end would have been started again.
        assert pair.supervisor.restarts == {"recommender-1": 0, "recommender-2": 0}
        assert "recommender-1" not in pair.supervisor.pids
    assert_exactly_once(storefront, settings=settings)
