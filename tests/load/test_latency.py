"""Percentiles over every latency, and a line for each second."""

import numpy as np

from load.latency import LatencyLog, Percentiles, Second

MS = 1_000_000
S = 1_000 * MS


def log(*pairs: tuple[int, int | None]) -> LatencyLog:
    """A log of (due_ms, latency_ms or None for no answer)."""
    latencies = LatencyLog()
    for due_ms, latency_ms in pairs:
        latencies.due(due_ms * MS)
        if latency_ms is not None:
            latencies.answered(due_ns=due_ms * MS, answered_ns=(due_ms + latency_ms) * MS)
    return latencies


def test_percentiles_of_nothing_are_zero() -> None:
    assert Percentiles.of(np.empty(0)) == Percentiles(0, 0, 0, 0, 0)
    assert log((1, None)).percentiles() == Percentiles(0, 0, 0, 0, 0)


def test_percentiles_are_over_all_answers() -> None:
    latencies = log(*((number, number) for number in range(1_001)))
    assert latencies.percentiles() == Percentiles(1_001, 500, 900, 990, 1_000)


def test_the_warm_up_is_left_out_by_due_time() -> None:
    assert log((0, 900), (1_000, 5), (2_000, 7)).percentiles(from_ns=1 * S) == Percentiles(2, 6, 6.8, 6.98, 7)


def test_recent_looks_at_the_last_answers() -> None:
    assert log((0, 900), (1, 5), (2, 7)).recent(2).max == 7


def test_the_timeline_counts_what_was_due_in_each_second_and_what_of_it_was_answered() -> None:
    latencies = log((100, 10), (200, 2_500), (900, None), (2_500, 30))
    assert latencies.timeline() == [
        Second(0, 3, 2, 1_255.0, 2_475.1),
        Second(2, 1, 1, 30.0, 30.0),
    ]
