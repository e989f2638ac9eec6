"""The machine's clock is set back, and so are the times of records and events: states and metrics stay right."""

import asyncio
from collections.abc import Sequence

import numpy as np
import pytest

from events.clock import ManualClock
from events.codec import encode
from events.ids import stable_hash
from events.recommendation import Recommendation
from events.types import AnyUserEvent
from serving.state import StateCodec
from streams.log_reader import LogRecord
from tests.storefront import START_MS, view
from tests.streams.recommenders import KEYS, NOW_MS, Shop, make_shop, slates_in

pytestmark = pytest.mark.usefixtures("compiled")
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


class SettableClock(ManualClock):
    """A clock that somebody sets."""

    def set_back(self, *, ms: int) -> None:
        self._now_ms -= ms


def shop() -> tuple[Shop, SettableClock]:
    clock = SettableClock(now_ms=NOW_MS)
    return make_shop(clock=clock), clock


def process(shop: Shop, records: Sequence[LogRecord]) -> list[Recommendation]:
    return slates_in(asyncio.run(shop.agent.process(records)))


def state(shop: Shop, user: str) -> bytes:
    [blob] = asyncio.run(shop.store.read([(KEYS.partition(user), user)])).states
    assert blob is not None
    return blob


def events() -> list[AnyUserEvent]:
    return [view("ann", f"item-{n}", number=n) for n in range(6)]


@pytest.mark.parametrize("back_ms", [1, 5_000, HOUR_MS, DAY_MS // 2])
def test_clock_set_back_changes_no_state_no_rec_id_and_makes_no_latency_negative(back_ms: int) -> None:
    steady, (stepped, clock) = make_shop(), shop()
    first, second = events()[:3], events()[3:]
    expected = process(steady, steady.records(first)) + process(steady, steady.records(second))
    found = process(stepped, stepped.records(first))
    records = stepped.records(second)  # reached the broker before the step, and are answered after it
    clock.set_back(ms=back_ms)
    found += process(stepped, records)
    assert state(stepped, "ann") == state(steady, "ann")
    assert [one.rec_id for one in found] == [one.rec_id for one in expected]
    assert all(one.fresh_ms >= 0 for one in found)
    assert stepped.value("headwater_freshness_ms_sum") >= 0
    assert stepped.value("headwater_freshness_ms_count") == 2
    assert stepped.value("headwater_freshness_ms_bucket", le="2.0") == 2
    assert [one.degraded for one in found] == ["", ""]  # a step back is no overload


def test_record_times_that_go_back_change_no_state() -> None:
    steady, (stepped, clock) = make_shop(), shop()
    for one in events():
        process(steady, steady.records([one]))
        process(stepped, stepped.records([one]))
        clock.set_back(ms=HOUR_MS)  # the broker's too: its records get lower times
    assert state(stepped, "ann") == state(steady, "ann")


def test_event_times_that_go_back_within_the_gap_stay_in_the_session_in_their_order() -> None:
    one, other = make_shop(), make_shop()
    at = [
        START_MS,
        START_MS + 60_000,
        START_MS + 30_000,
    ]  # the storefront's clock was set back by half a minute
    clicks = [view("ann", f"item-{n}", number=n, at_ms=ms) for n, ms in enumerate(at)]
    process(one, one.records(clicks))
    process(other, other.records(sorted(clicks, key=lambda click: click.occurred_at)))
    codec, hashes = StateCodec(), np.array([stable_hash("ann")], np.int64)
    views = [codec.view(codec.unpack([state(each, "ann")], users=hashes), history=4) for each in (one, other)]
    assert [np.count_nonzero(each.session) for each in views] == [3, 3]
    assert views[0].session.tolist() == views[1].session.tolist()
    assert views[0].last_ms.tolist() == views[1].last_ms.tolist()


def test_clock_set_back_by_days_sets_events_aside_as_from_the_future_and_they_can_be_driven_again() -> None:
    """The bound of a day that tells a future event from a clock that is off is all that a step can exceed."""
    stepped, clock = shop()
    clock.set_back(ms=30 * DAY_MS)
    made = asyncio.run(stepped.agent.process(stepped.records(events()[:1])))
    assert [record.topic for record in made] == ["dead-letters"]
    assert made[0].value == encode(events()[0])
