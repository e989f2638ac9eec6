"""Clocks: the machine's tells epoch milliseconds, the manual one moves only when told."""

import time

import pytest

from events.clock import Clock, ManualClock, SystemClock


def test_the_system_clock_tells_epoch_milliseconds() -> None:
    clock: Clock = SystemClock()
    before = time.time() * 1000
    now_ms = clock.now_ms()
    assert before - 1 <= now_ms <= time.time() * 1000


def test_a_manual_clock_moves_only_when_told() -> None:
    clock = ManualClock(now_ms=5)
    assert [clock.now_ms(), clock.now_ms()] == [5, 5]
    clock.advance(ms=7)
    assert clock.now_ms() == 12


def test_a_manual_clock_does_not_go_back() -> None:
    with pytest.raises(ValueError, match="-1 ms"):
        ManualClock(now_ms=5).advance(ms=-1)
