"""What one look at a deployment found, and what to do about it."""

from dataclasses import dataclass
from enum import StrEnum

SKEW_WARN_MS, SKEW_FAIL_MS = 500, 5_000


class Status(StrEnum):
    OK = "ok"
    WARN = "warn"  # it runs, but not as well or as safely as it should
    FAIL = "fail"  # it won't run


@dataclass(frozen=True, slots=True)
class Check:
    """What one look found. `what_to_do` is empty only when the status is ok."""

    name: str
    status: Status
    detail: str
    what_to_do: str = ""


def clock_check(name: str, *, their_ms: int, before_ms: int, after_ms: int) -> Check:
    """How far another machine's clock is off, given the local times before and after it was asked.

    >>> clock_check("redis clock", their_ms=1000, before_ms=990, after_ms=1020).status
    <Status.OK: 'ok'>
    """
    skew_ms = max(before_ms - their_ms, their_ms - after_ms, 0)
    detail = f"off by at least {skew_ms} ms" if skew_ms else "the same as here"
    if skew_ms < SKEW_WARN_MS:
        return Check(name, Status.OK, detail)
    status = Status.FAIL if skew_ms >= SKEW_FAIL_MS else Status.WARN
    return Check(
        name, status, detail, "synchronise the clocks (NTP): freshness and expiry are measured across them"
    )
