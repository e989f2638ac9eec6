"""Pace: an open loop, whatever the system under load does."""

import pytest

from load.errors import BadLoadConfig
from load.pacing import Pace


def test_a_rate_spaces_events_evenly_and_does_not_drift() -> None:
    pace = Pace(rate=3)
    assert [pace.due_ns(index, since_first_ms=10**9) for index in (0, 1, 3_000_000)] == [
        0,
        333_333_333,
        10**15,
    ]


def test_a_speed_keeps_the_gaps_of_the_stream_in_proportion() -> None:
    pace = Pace(speed=60)
    assert [pace.due_ns(99, since_first_ms=ms) for ms in (0, 60, 3_600_000)] == [0, 10**6, 60 * 10**9]


def test_flat_out_everything_is_due_at_once() -> None:
    assert Pace().flat_out
    assert Pace().due_ns(10**6, since_first_ms=10**9) == 0


@pytest.mark.parametrize(
    ("rate", "speed"),
    [(1.0, 1.0), (0, None), (-1, None), (float("inf"), None), (None, 0), (None, float("nan"))],
)
def test_paces_that_cannot_be_kept_are_refused(rate: float | None, speed: float | None) -> None:
    with pytest.raises(BadLoadConfig, match="received"):
        Pace(rate=rate, speed=speed)
