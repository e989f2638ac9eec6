"""Rising items before steady ones, and the smoothed ratio in plain Python."""

import numpy as np
import pytest
from hypothesis import given, settings

from events.columns import Kind
from index.sources.base import Limits
from index.sources.popularity import DAY_MS, HOUR_MS, Popularity
from index.sources.traces import Traces
from index.sources.trending import MINUTE_MS, Trending
from tests.index.sources.random_logs import SMALL, PlainTraces, Row, assert_proposes, logs, place

HALF_LIVES_MS = (500, 60_000, 0)


def learned(log: list[Row], limits: Limits, half_lives_ms: tuple[int, ...], n: int) -> Trending:
    popularity = Popularity(limits, n=8, half_lives_ms=half_lives_ms)
    for batch in place(Traces(limits), [row for row in log if row.user]):
        popularity.learn(batch)
    return Trending(limits, popularity=popularity, n=n, short=0, long=1, prior=2.0)


@settings(max_examples=60, deadline=None)
@given(log=logs())
def test_ratios_agree_with_plain_python(log: list[Row]) -> None:
    source = learned(log, SMALL, HALF_LIVES_MS, n=3)
    now_ms = log[-1].time_ms if log else 0
    minute = now_ms // MINUTE_MS * MINUTE_MS
    weights = {Kind.CLICK: 1.0, Kind.CART: 2.0, Kind.PURCHASE: 3.0}
    expected = {}
    for item in range(1, SMALL.items):
        counts = [
            sum(
                weights.get(Kind(r.kind), 0.0) * 2.0 ** ((r.time_ms - minute) / half_life)
                for r in log
                if r.item == item and r.user
            )
            for half_life in HALF_LIVES_MS[:2]
        ]
        short, long = (min(count, 2.0**60) for count in counts)
        ratio = (short + 2.0) / (long * HALF_LIVES_MS[0] / HALF_LIVES_MS[1] + 2.0)
        if counts[0] > 0 and ratio > 1.0 + 1e-7:
            expected[item] = ratio
    ids, scores = source.propose(PlainTraces(SMALL).query([1, 2], now_ms))
    for b in range(2):
        assert_proposes(ids[b], scores[b], expected=expected)


def test_a_burst_beats_a_steady_seller() -> None:
    steady = [Row(1, 1, Kind.CLICK, hour * HOUR_MS, 0) for hour in range(24 * 60)]
    burst = [Row(2, 2, Kind.CLICK, 60 * DAY_MS + k, 0) for k in range(20)]
    source = learned(steady + burst, SMALL, (DAY_MS, 30 * DAY_MS), n=5)
    ids, scores = source.propose(PlainTraces(SMALL).query([1], 60 * DAY_MS + MINUTE_MS))
    assert ids[0, 0] == 2
    assert scores[0, 0] > 3.0
    steady_score = scores[0][ids[0] == 1]
    assert len(steady_score) == 0 or steady_score[0] < 1.5


def test_windows_that_do_not_decay_or_are_in_the_wrong_order_are_refused() -> None:
    popularity = Popularity(SMALL, half_lives_ms=HALF_LIVES_MS)
    for short, long in ((1, 0), (0, 2), (0, 3)):
        with pytest.raises(ValueError, match="windows"):
            Trending(SMALL, popularity=popularity, short=short, long=long)
    with pytest.raises(ValueError, match="prior"):
        Trending(SMALL, popularity=popularity, short=0, long=1, prior=0.0)
    assert not np.any(popularity.best)
