"""Waiting for a condition in tests: as short as it can be, with a deadline that names what was awaited."""

import time
from collections.abc import Callable

POLL_S = 0.01


def wait_for(condition: Callable[[], bool], *, what: str, timeout_s: float = 20.0) -> None:
    """Return once `condition()` is true; fail after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {timeout_s:g} s")
        time.sleep(POLL_S)
