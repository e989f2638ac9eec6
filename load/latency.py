"""Latencies and what is said about them: percentiles over all of them, and a line for each second."""

from array import array
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_NS_PER_MS = 1_000_000
_NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Of `n` latencies in ms. All are 0 where n is 0."""

    n: int
    p50: float
    p90: float
    p99: float
    max: float

    @classmethod
    def of(cls, latencies_ms: NDArray[np.float64]) -> "Percentiles":
        """The percentiles of `latencies_ms`, (n,) float64; interpolated linearly between neighbours.

        >>> Percentiles.of(np.arange(101.0))
        Percentiles(n=101, p50=50.0, p90=90.0, p99=99.0, max=100.0)
        """
        if len(latencies_ms) == 0:
            return cls(0, 0.0, 0.0, 0.0, 0.0)
        p50, p90, p99, highest = np.percentile(latencies_ms, (50, 90, 99, 100)).round(3).tolist()
        return cls(len(latencies_ms), p50, p90, p99, highest)


@dataclass(frozen=True, slots=True)
class Second:
    """What came of the events that were due in one second of the run."""

    second: int
    due: int
    answered: int
    p50_ms: float
    p99_ms: float


class LatencyLog:
    """Every awaited event's due time and, where it was answered, its latency: 16 bytes an event."""

    def __init__(self) -> None:
        self._due = array("q")
        self._answered_due = array("q")
        self._latency = array("q")

    def due(self, due_ns: int) -> None:
        """An awaited event was due, `due_ns` after the start."""
        self._due.append(due_ns)

    def answered(self, *, due_ns: int, answered_ns: int) -> None:
        """The event due at `due_ns` had its answer at `answered_ns`; both are counted from the start."""
        self._answered_due.append(due_ns)
        self._latency.append(answered_ns - due_ns)

    def percentiles(self, *, from_ns: int = 0) -> Percentiles:
        """Of all answered events that were due at or after `from_ns`."""
        due, latency = _view(self._answered_due), _view(self._latency)
        return Percentiles.of(latency[due >= from_ns] / _NS_PER_MS)

    def recent(self, last: int) -> Percentiles:
        """Of the `last` answers, for a progress line."""
        return Percentiles.of(np.array(self._latency[-last:], dtype=np.int64) / _NS_PER_MS)

    def timeline(self) -> list[Second]:
        """A line for each second in which an awaited event was due."""
        due = _view(self._due) // _NS_PER_S
        answered, latency = _view(self._answered_due) // _NS_PER_S, _view(self._latency) / _NS_PER_MS
        order = np.argsort(answered, kind="stable")
        answered, latency = answered[order], latency[order]
        lines = []
        for second, count in zip(*np.unique(due, return_counts=True), strict=True):
            left, right = np.searchsorted(answered, (second, second + 1))
            of_second = Percentiles.of(latency[left:right])
            lines.append(Second(int(second), int(count), of_second.n, of_second.p50, of_second.p99))
        return lines


def _view(numbers: "array[int]") -> NDArray[np.int64]:
    return np.array(numbers, dtype=np.int64)
