"""The workers as processes through two months whose shoppers and items never come back: their memory stays flat.

What each part of them holds is looked at in tests/streams/test_a_month.py; this is the operating system's view.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import psutil
import pytest

from events.ids import ItemId
from events.topics import Topic
from events.types import AnyUserEvent, CatalogueItem
from streams.system import System
from streams.topics import topic_name
from tests.e2e.conftest import MakeSettings
from tests.servers import best_broker
from tests.storefront import START_MS, Storefront, purchase, view
from tests.streams.deadlines import wait_for
from tests.systems import SMALL, quick_system

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.long,
    pytest.mark.timeout(1_500),
    pytest.mark.parametrize("broker", [best_broker(os.environ)], indirect=True),
]
DAY_MS = 86_400_000
DAYS, WARM_DAYS = 60, 25
SHOPPERS_A_DAY, ITEMS_A_DAY, CLICKS_A_SHOPPER = 350, 90, 2
SOURCES = {**SMALL, "items": 256, "users": 1024, "sessions": 2048}  # a twentieth of what comes
LEARNER = {"deep": False, "batch_units": 64, "publish_every_batches": 8, "users": 1024, "open_slates": 1024}
AT_ONCE = 100  # events of an envelope


class Season:
    """Tells the shop of a day's new things and people, and waits until every worker knows all of it."""

    def __init__(self, storefront: Storefront, system: System) -> None:
        self._storefront = storefront
        self._system = system
        self.events = 0

    def live(self, day: int) -> None:
        items = [f"item-{day}-{at}" for at in range(ITEMS_A_DAY)]
        self._storefront.describe(
            *(CatalogueItem(item_id=ItemId(item), item_name=f"thing {item}") for item in items)
        )
        self._storefront.send_enveloped(self._visits(day, items), at_once=AT_ONCE)
        wait_for(self._known, what=f"day {day} in every worker", timeout_s=120)

    def _visits(self, day: int, items: Sequence[str]) -> Iterator[AnyUserEvent]:
        chance = np.random.default_rng(day)
        for shopper in range(SHOPPERS_A_DAY):
            user = f"user-{day}-{shopper}"
            for item in chance.integers(0, len(items), CLICKS_A_SHOPPER).tolist():
                yield view(user, items[item], **self._next(day))
            yield purchase(user, items[shopper % len(items)], **self._next(day))

    def _next(self, day: int) -> dict[str, int]:
        self.events += 1
        return {"number": self.events, "at_ms": START_MS + day * DAY_MS + self.events}

    def _known(self) -> bool:
        system = self._system
        return (
            all(self._taken(worker) >= self.events for worker in ("recommender-1", "learner"))
            and system.metric("recommender-1", "headwater_source_events_total") >= self.events
            and system.metric("recommender-1", "headwater_pending_partitions") == 0
        )

    def _taken(self, worker: str) -> float:
        """Shoppers' events that the worker has taken."""
        names = [topic_name(topic, kafka=self._storefront.kafka) for topic in (Topic.CLICKS, Topic.PURCHASES)]
        return sum(self._system.metric(worker, f'headwater_events_total{{topic="{name}"}}') for name in names)


def resident(system: System) -> dict[str, int]:
    """MB by worker."""
    return {
        name: round(psutil.Process(pid).memory_info().rss / 1e6)
        for name, pid in system.supervisor.pids.items()
    }


def test_no_process_has_grown_after_twenty_times_the_shoppers_and_items_that_it_holds(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    settings = make_settings(learner=LEARNER, sources=SOURCES)
    told = {"users": DAYS * SHOPPERS_A_DAY, "items": DAYS * ITEMS_A_DAY}
    assert all(told[name] > 20 * SOURCES[name] for name in told)
    with quick_system(settings, log_dir=tmp_path) as system:
        system.wait_ready()
        season = Season(Storefront(settings), system)
        seen = []
        for day in range(DAYS):
            season.live(day)
            seen.append(resident(system))
            if os.environ.get("HEADWATER_TEST_TELL"):
                print(day, seen[-1], flush=True)
        warm, after = seen[WARM_DAYS - 1], seen[-1]
        assert set(after) == {"recommender-1", "learner", "encoder"}
        grown = {name: (warm[name], after[name]) for name in after if after[name] > warm[name] * 1.08}
        assert grown == {}
        assert sum(system.supervisor.restarts.values()) == 0
