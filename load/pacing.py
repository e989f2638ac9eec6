"""When each event is meant to be sent: an open loop, which does not wait for the system under load.

The latency of an event is measured from this time and not from when it was really sent, so that a stalled
system cannot hide its stall by slowing the sender (Gil Tene, "How NOT to Measure Latency": coordinated
omission).
"""

from dataclasses import dataclass

from load.errors import BadLoadConfig

_MS_PER_S = 1_000
_NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class Pace:
    """At `rate` events a second, or `speed` times as fast as the stream happened, or, with neither, flat out.

    Flat out there is no intended time; then the time of sending stands for it.
    """

    rate: float | None = None
    speed: float | None = None

    def __post_init__(self) -> None:
        if self.rate is not None and self.speed is not None:
            raise BadLoadConfig(f"received rate {self.rate} and speed {self.speed}; expected one of them")
        for name, value in (("rate", self.rate), ("speed", self.speed)):
            if value is not None and not 0 < value < float("inf"):
                raise BadLoadConfig(f"{name}: received {value}, expected a number above 0")

    @property
    def flat_out(self) -> bool:
        """Whether events are sent as fast as the broker takes them."""
        return self.rate is None and self.speed is None

    def due_ns(self, index: int, *, since_first_ms: int) -> int:
        """Nanoseconds from the start to when event `index` (from 0) is meant to be sent.

        `since_first_ms` is how long after the first event it happened.

        >>> Pace(rate=500).due_ns(3, since_first_ms=0)
        6000000
        >>> Pace(speed=3600).due_ns(3, since_first_ms=3_600_000)
        1000000000
        """
        if self.rate is not None:
            return round(index * _MS_PER_S * _NS_PER_MS / self.rate)
        if self.speed is not None:
            return round(since_first_ms * _NS_PER_MS / self.speed)
        return 0
