"""When to start a crashed child again: exponential backoff, and crash loops made visible."""

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """Waits of `first_delay_s`, doubling to `max_delay_s`; `loop_crashes` within `window_s` are a crash loop.

    A child that ran for `healthy_s` before it crashed starts over at the first delay.
    """

    first_delay_s: float = 0.5
    factor: float = 2.0
    max_delay_s: float = 30.0
    healthy_s: float = 30.0
    loop_crashes: int = 5
    window_s: float = 300.0
    give_up: bool = False  # in a crash loop: True stops everything, False keeps trying every max_delay_s

    def __post_init__(self) -> None:
        if not 0 < self.first_delay_s <= self.max_delay_s:
            raise ValueError(
                f"first_delay_s is {self.first_delay_s} and max_delay_s {self.max_delay_s}; "
                "both must be above 0, the first not above the second"
            )
        if self.factor < 1:
            raise ValueError(f"factor is {self.factor}; it must be at least 1")
        if self.loop_crashes < 2:
            raise ValueError(f"loop_crashes is {self.loop_crashes}; it must be at least 2")


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do about one crash."""

    delay_s: float
    crash_loop: bool


class RestartHistory:
    """The crashes of one child; times are seconds of one monotonic clock."""

    def __init__(self, policy: RestartPolicy) -> None:
        self._policy = policy
        self._crashes: deque[float] = deque(maxlen=policy.loop_crashes)
        self._in_a_row = 0

    def crashed(self, *, started_s: float, now_s: float) -> Decision:
        """Note a crash at `now_s` of a run that began at `started_s`; when to start again."""
        policy = self._policy
        self._in_a_row = 1 if now_s - started_s >= policy.healthy_s else self._in_a_row + 1
        self._crashes.append(now_s)
        loop = len(self._crashes) == policy.loop_crashes and now_s - self._crashes[0] <= policy.window_s
        # the exponent is bounded so that it cannot overflow after days of crashes
        backoff = policy.first_delay_s * policy.factor ** min(self._in_a_row - 1, 64)
        return Decision(
            delay_s=policy.max_delay_s if loop else min(policy.max_delay_s, backoff), crash_loop=loop
        )
