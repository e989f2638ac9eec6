"""Decayed counts and the best list of each window, against sums in plain Python."""

import numpy as np
import pytest
from hypothesis import given, settings

from events.columns import Kind
from index.errors import SnapshotError
from index.sources.covisits import KindWeights
from index.sources.popularity import HOUR_MS, Popularity
from index.sources.traces import Traces
from tests.index.sources.random_logs import SMALL, PlainTraces, Row, cut, logs, place

HALF_LIVES_MS = (500, 60_000, 0)
WEIGHTS = {Kind.CLICK: 1.0, Kind.CART: 2.0, Kind.PURCHASE: 3.0}


def plain_counts(log: list[Row], *, half_life_ms: int, now_ms: int) -> dict[int, float]:
    counts: dict[int, float] = {}
    for row in log:
        weight = WEIGHTS.get(Kind(row.kind), 0.0)
        if row.user and row.item and weight:
            age = (now_ms - row.time_ms) / half_life_ms if half_life_ms else 0.0
            counts[row.item] = counts.get(row.item, 0.0) + weight * 2.0**-age
    return counts


def learned(log: list[Row], *, n: int = 4, size: int = 1000) -> Popularity:
    traces, source = Traces(SMALL), Popularity(SMALL, n=n, half_lives_ms=HALF_LIVES_MS)
    for part in cut([row for row in log if row.user], size):
        for batch in place(traces, part):
            source.learn(batch)
    return source


@settings(max_examples=80, deadline=None)
@given(log=logs())
def test_counts_and_best_lists_agree_with_plain_sums(log: list[Row]) -> None:
    source = learned(log)
    now_ms = log[-1].time_ms if log else 0
    found = source.counts(np.arange(SMALL.items, dtype=np.int32), now_ms=now_ms)
    for window, half_life in enumerate(HALF_LIVES_MS):
        expected = plain_counts(log, half_life_ms=half_life, now_ms=now_ms)
        np.testing.assert_allclose(
            found[window], [expected.get(i, 0.0) for i in range(SMALL.items)], rtol=1e-6, atol=1e-12
        )
        best = source.best[window][source.best[window] > 0]
        assert len(best) == min(4, len(expected))
        keys = source.keys[window]
        by_key = sorted(
            (row for row in range(1, SMALL.items) if np.isfinite(keys[row])), key=lambda r: (-keys[r], r)
        )
        assert best.tolist() == by_key[:4]


@settings(max_examples=40, deadline=None)
@given(log=logs())
def test_batch_size_and_restoring_do_not_matter(log: list[Row]) -> None:
    whole, single = learned(log), learned(log, size=1)
    np.testing.assert_array_equal(whole.keys, single.keys)
    np.testing.assert_array_equal(whole.best, single.best)
    again = Popularity(SMALL, n=4, half_lives_ms=HALF_LIVES_MS)
    again.restore(whole.snapshot())
    np.testing.assert_array_equal(again.best, whole.best)


def test_recent_items_win_the_short_window_and_frequent_ones_the_long() -> None:
    log = [Row(1, 1, Kind.CLICK, t, 0) for t in range(0, 1000, 100)] + [Row(2, 2, Kind.CLICK, 100_000, 0)]
    source = learned(log)
    assert source.best[0, 0] == 2
    assert source.best[2, 0] == 1


def test_an_event_from_long_ago_adds_next_to_nothing() -> None:
    source = learned([Row(1, 1, Kind.CLICK, 10_000_000, 0), Row(1, 1, Kind.CLICK, 0, 0)])
    np.testing.assert_allclose(source.counts(np.array([1], np.int32), now_ms=10_000_000)[0], 1.0)


def test_evicted_items_leave_the_lists_and_the_next_best_move_up() -> None:
    log = [Row(1, item, Kind.CLICK, 1000 + item, 0) for item in range(1, 7)]
    source = learned(log, n=4)
    source.evict(np.array([6, 4], np.int32))
    assert source.best[0].tolist() == [5, 3, 2, 1]
    assert source.counts(np.array([6], np.int32), now_ms=1000).sum() == 0.0


def test_proposals_merge_the_windows_and_are_the_same_for_all() -> None:
    log = [Row(1, 1, Kind.CLICK, t, 0) for t in range(0, 1000, 100)] + [Row(2, 2, Kind.CLICK, 100_000, 0)]
    plain = PlainTraces(SMALL)
    ids, scores = learned(log).propose(plain.query([1, 2], 100_000))
    assert ids.tolist() == [[1, 2, 0, 0]] * 2  # each leads one window, item 1 two of three
    np.testing.assert_allclose(scores[0, :2], [2 / 10 + 1 / 11, 1 / 10 + 2 / 11], rtol=1e-6)


def test_wrong_arguments_and_snapshots_are_refused() -> None:
    with pytest.raises(ValueError, match="n is 0"):
        Popularity(SMALL, n=0)
    with pytest.raises(ValueError, match="half-lives"):
        Popularity(SMALL, half_lives_ms=(-HOUR_MS,))
    with pytest.raises(ValueError, match="click <= cart"):
        Popularity(SMALL, kinds=KindWeights(click=3.0, cart=1.0))
    with pytest.raises(SnapshotError):
        Popularity(SMALL).restore({})
