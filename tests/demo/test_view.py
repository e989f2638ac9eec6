from dataclasses import replace

from demo.board import Glance
from demo.view import plain_line

EARLY = Glance(
    elapsed_s=5.0,
    events=471,
    events_per_s=94.0,
    fresh_p50_ms=float("nan"),
    fresh_p99_ms=float("nan"),
    slates=0,
    progress=(),
    shopper=None,
)


def test_freshness_is_not_zero_before_the_first_slate() -> None:
    assert "freshness no slate yet" in plain_line(EARLY)


def test_freshness_is_shown_once_there_are_slates() -> None:
    line = plain_line(replace(EARLY, fresh_p50_ms=31.4, fresh_p99_ms=90.6, slates=3))
    assert "freshness p50 31 p99 91 ms" in line
