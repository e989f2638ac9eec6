"""A user with 100,000 events and a bot at 1,000 a second, through the real agents: all is counted, nobody waits,
and neither tells the others what to buy."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from events.ids import stable_hash
from events.topics import Topic
from events.types import AnyUserEvent
from serving.state_layout import EVENTS
from streams.building import state_codec
from streams.settings import Settings
from streams.topics import topic_name
from tests.e2e.conftest import MakeSettings
from tests.servers import best_broker
from tests.storefront import START_MS, Storefront, stored, view, visits
from tests.streams.deadlines import wait_for
from tests.systems import quick_system

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.long,
    pytest.mark.timeout(600),
    pytest.mark.parametrize("broker", [best_broker(os.environ)], indirect=True),
]
HEAVY, HEAVY_EVENTS, HEAVY_ITEMS = "c-heavy", 100_000, 60
BOT, BOT_EVENTS, BOT_ITEM = "c-bot", 10_000, "i-pushed"
AT_ONCE = 500  # events of an envelope


def heavy_clicks() -> list[AnyUserEvent]:
    """One a minute, of a user who never sleeps."""
    return [
        view(HEAVY, f"i-{number % HEAVY_ITEMS}", number=number, at_ms=START_MS + number * 60_000)
        for number in range(HEAVY_EVENTS)
    ]


def bot_clicks(after_ms: int) -> list[AnyUserEvent]:
    """A thousand a second, all of one item."""
    return [
        view(BOT, BOT_ITEM, number=HEAVY_EVENTS + number, at_ms=after_ms + number)
        for number in range(BOT_EVENTS)
    ]


def events_of(users: Sequence[str], *, settings: Settings) -> list[int]:
    """How many events each user's state in Redis has counted."""
    keys = settings.redis.key_space(partitions=settings.kafka.partitions)
    homes = [(keys.partition(user), user) for user in users]
    states, _, _ = stored(homes, settings=settings)
    hashes = np.array([stable_hash(user) for user in users], np.int64)
    codec = state_codec(settings)
    counts: list[int] = codec.unpack([states[home] for home in homes], users=hashes)[:, EVENTS].tolist()
    return counts


def test_a_heavy_user_and_a_bot_are_counted_and_stop_nobody(
    make_settings: MakeSettings, tmp_path: Path
) -> None:
    settings = make_settings(learner={"deep": False, "batch_units": 32})
    storefront = Storefront(settings)
    clicks = f'headwater_events_total{{topic="{topic_name(Topic.CLICKS, kafka=settings.kafka)}"}}'
    end_ms = START_MS + HEAVY_EVENTS * 60_000
    with quick_system(settings, encoder=False, log_dir=tmp_path) as system:
        system.wait_ready()
        before = storefront.send(visits(300, users=30))
        storefront.wait_answered(before)
        storefront.send_enveloped(heavy_clicks(), at_once=AT_ONCE)
        storefront.send_enveloped(bot_clicks(end_ms), at_once=AT_ONCE)
        everything = len(before) + HEAVY_EVENTS + BOT_EVENTS
        (shopper,) = storefront.send([view("c-late", "i-3", number=10**6, at_ms=end_ms + BOT_EVENTS)])

        slate = storefront.answer(shopper, timeout_s=60)
        wait_for(
            lambda: system.metric("recommender-1", clicks) >= HEAVY_EVENTS + BOT_EVENTS,
            what="all of it applied",
            timeout_s=120,
        )
        wait_for(
            lambda: system.metric("recommender-1", "headwater_source_events_total") >= everything,
            what="all of it followed",
            timeout_s=60,
        )
        assert events_of([HEAVY, BOT], settings=settings) == [HEAVY_EVENTS, BOT_EVENTS]

        # The bot's item is not what everybody sees; that somebody pushes it is said.
        (next_shopper,) = storefront.send(
            [view("c-later", "i-3", number=10**6 + 1, at_ms=end_ms + 2 * BOT_EVENTS)]
        )
        later = storefront.answer(next_shopper)
        assert BOT_ITEM not in [item.item_id for item in later.items[:3]]
        assert slate.items
        left_out = 'headwater_anomalies_total{kind="over-budget"}'
        beyond = BOT_EVENTS - settings.sources.user_burst
        assert beyond * 0.99 < system.metric("recommender-1", left_out) <= beyond
        wait_for(
            lambda: system.metric("learner", left_out) > beyond * 0.99,
            what="the learner has left the bot out",
            timeout_s=240,
        )
        assert sum(system.supervisor.restarts.values()) == 0
