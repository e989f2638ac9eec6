"""One partition has a long backlog: the shoppers of the others are answered meanwhile, and it catches up."""

import os
from pathlib import Path
from threading import Thread

import pytest

from events.codec import encode
from events.ids import partition_of
from events.topics import Topic
from streams.settings import Settings
from streams.system import System
from tests.e2e.conftest import MakeSettings
from tests.e2e.streaming import assert_exactly_once
from tests.servers import best_broker
from tests.storefront import Sent, Storefront, view
from tests.streams.deadlines import wait_for
from tests.systems import LEARNER, quick_system, total, wait_shared

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.long,
    pytest.mark.parametrize("broker", [best_broker(os.environ)], indirect=True),
]
BACKLOG = 40_000
LATE = 0
PACE_S = 0.02
_AT_MS = 1_700_100_000_000


def users_of(partition: int, *, of: Settings, count: int) -> list[str]:
    partitions = of.kafka.partitions
    found = (
        f"u{n}" for n in range(100_000) if partition_of(f"u{n}".encode(), partitions=partitions) == partition
    )
    return [next(found) for _ in range(count)]


class Burst:
    """A backlog of one partition that is sent as fast as the broker takes it, and clicks of the others meanwhile."""

    def __init__(self, settings: Settings) -> None:
        self.storefront = Storefront(settings)
        self.late_users = users_of(LATE, of=settings, count=50)
        self.live_users = [
            user
            for partition in range(settings.kafka.partitions)
            if partition != LATE
            for user in users_of(partition, of=settings, count=20)
        ]
        self.live: list[Sent] = []

    def run(self, system: System) -> None:
        """Return once the worker has taken the backlog; `live` are the clicks sent until then."""
        events = [
            view(self.late_users[n % 50], f"item-{n % 40}", number=1_000_000 + n, at_ms=_AT_MS + n)
            for n in range(BACKLOG)
        ]
        raw = [(Topic.CLICKS, event.user_id.encode(), encode(event)) for event in events]
        sender = Thread(target=Storefront(self.storefront.settings).send_raw, args=(raw,))
        before = self.taken(system)
        sender.start()
        number = 0

        def done() -> bool:
            nonlocal number
            user = self.live_users[number % len(self.live_users)]
            self.live += self.storefront.send(
                [view(user, f"item-{number % 40}", number=5_000_000 + number, at_ms=_AT_MS + number)]
            )
            number += 1
            sender.join(PACE_S)
            return not sender.is_alive() and self.taken(system) - before >= BACKLOG + number

        wait_for(done, what="the backlog is taken", timeout_s=120)

    def taken(self, system: System) -> float:
        return system.metric("recommender-1", f'headwater_events_total{{topic="{self.prefix}clicks"}}')

    @property
    def prefix(self) -> str:
        return self.storefront.kafka.topic_prefix

    def waits_ms(self) -> list[int]:
        """How long each live click waited for the first slate that knows of it, by the broker's times, sorted."""
        slates: dict[str, list[tuple[int, int]]] = {}
        for record, slate in zip(
            self.storefront.log(Topic.RECOMMENDATIONS), self.storefront.slates(), strict=True
        ):
            seen = slate.seen_offsets.get(f"{self.prefix}clicks-{record.partition}", -1)
            slates.setdefault(slate.user_id, []).append((seen, record.timestamp_ms))
        clicked = {r[:3]: r.timestamp_ms for r in self.storefront.log(Topic.CLICKS)}
        return sorted(
            min(at for seen, at in slates[one.event.user_id] if seen >= one.place.offset) - clicked[one.place]
            for one in self.live
        )

    def slates_of_late(self) -> int:
        return sum(slate.user_id in set(self.late_users) for slate in self.storefront.slates())


def test_shoppers_of_other_partitions_do_not_wait_for_a_late_one(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    settings = make_settings(learner={**LEARNER, "deep": False})
    with quick_system(settings, encoder=False, log_dir=tmp_path) as system:
        wait_shared([system], partitions=settings.kafka.partitions)
        burst = Burst(settings)
        warm = burst.storefront.send(
            [view(user, "item-1", number=n) for n, user in enumerate(burst.live_users)]
        )
        burst.storefront.wait_answered(warm)
        burst.run(system)
        assert len(burst.live) > 20
        answered_late = burst.slates_of_late()
        burst.storefront.wait_answered(burst.live)
        wait_for(lambda: burst.slates_of_late() >= 50, what="the late ones are answered", timeout_s=60)
        waits = burst.waits_ms()
        assert answered_late < BACKLOG / 20  # theirs waited for the end of the backlog, and
        assert waits[len(waits) // 2] < 500, waits  # nobody else's did
        wait_for(
            lambda: total(system, "headwater_source_events_total") >= BACKLOG + len(burst.live),
            what="sources know everything",
        )
        wait_for(lambda: system.metric("learner", "headwater_prequential_units_total") > 0, what="it learns")
        assert set(system.supervisor.restarts.values()) == {0}
    assert_exactly_once(burst.storefront, settings=settings)
