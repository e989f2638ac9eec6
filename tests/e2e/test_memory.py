"""Ever-new shoppers and items through the real processes: their memory is that of the latest, not of all."""

import psutil
import pytest

from streams.system import System
from tests.e2e.conftest import MakeSettings
from tests.storefront import Storefront, view
from tests.streams.deadlines import wait_for
from tests.systems import quick_system

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(900)]
_PART = 5_000  # new shoppers and new items: more than twice what the small sources hold
_PARTS = 6
_WARM = 3  # parts after which memory is looked at
_MB_A_PART = 12.0  # states of the learner's 200,000 users and hashes of the ids in use: not full yet


def test_memory_stays_flat_with_ever_new_shoppers_and_items(make_settings: MakeSettings) -> None:
    settings = make_settings(learner={"deep": False}, serving={"slate_size": 3})
    storefront = Storefront(settings)
    with quick_system(settings, recommenders=1, learner=True, encoder=False) as system:
        system.wait_ready()
        sampled: list[dict[str, float]] = []
        for part in range(_PARTS):
            events = [
                view(
                    f"shopper-{number}",
                    f"item-{number}",
                    number=number,
                    at_ms=1_700_000_000_000 + number * 50,
                )
                for number in range(part * _PART, (part + 1) * _PART)
            ]
            storefront.send(events)
            sent = (part + 1) * _PART
            wait_for(
                lambda: min(_taken(system, name) for name in system.metrics_ports) >= sent,  # noqa: B023
                what=f"{sent} events in every worker",
                timeout_s=200,
            )
            sampled.append(
                {
                    name: psutil.Process(pid).memory_info().rss / 1e6
                    for name, pid in system.supervisor.pids.items()
                }
            )
        assert system.supervisor.restarts == {} or sum(system.supervisor.restarts.values()) == 0
    grown = {name: sampled[-1][name] - sampled[_WARM - 1][name] for name in sampled[-1]}
    assert {name: mb for name, mb in grown.items() if mb > _MB_A_PART * (_PARTS - _WARM)} == {}, sampled


def _taken(system: System, name: str) -> float:
    topic = f"{system.settings.kafka.topic_prefix}clicks"
    return system.metric(name, f'headwater_events_total{{topic="{topic}"}}')
