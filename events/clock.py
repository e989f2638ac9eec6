"""The wall clock, passed in. Decisions use event time; the clock bounds it and times the metrics."""

import time
from typing import Protocol


class Clock(Protocol):
    """Epoch milliseconds; may jump when the machine's clock is set, so never use it for durations."""

    def now_ms(self) -> int: ...


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000


class ManualClock:
    """A clock that moves only when told, for tests and replays.

    >>> clock = ManualClock(now_ms=1_000)
    >>> clock.advance(ms=250)
    >>> clock.now_ms()
    1250
    """

    def __init__(self, *, now_ms: int) -> None:
        self._now_ms = now_ms

    def now_ms(self) -> int:
        return self._now_ms

    def advance(self, *, ms: int) -> None:
        if ms < 0:
            raise ValueError(f"ManualClock.advance got {ms} ms; it must be >= 0, a clock does not go back")
        self._now_ms += ms
