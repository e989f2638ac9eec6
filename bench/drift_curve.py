"""Recall before and after a swap of tastes, by half of the shoppers: the curve, its recovery and its picture."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(slots=True)
class Curve:
    """One entry a probe."""

    events: list[int] = field(default_factory=list)
    changed: list[float] = field(default_factory=list)  # recall@20 of the half whose tastes change
    untouched: list[float] = field(default_factory=list)
    best: list[float] = field(default_factory=list)  # the best recall@20 there is for those who change
    clicks: list[float] = field(default_factory=list)  # a slot shown since the probe before, as expected

    def add(
        self,
        events: int,
        *,
        recall: NDArray[np.float64],
        best: NDArray[np.float64],
        clicks: float,
        changing: NDArray[np.bool_],
    ) -> None:
        """A probe of all shoppers: `recall`, `best` and `changing` are (S,)."""
        self.events.append(events)
        self.changed.append(float(recall[changing].mean()))
        self.untouched.append(float(recall[~changing].mean()))
        self.best.append(float(best[changing].mean()))
        self.clicks.append(clicks)

    def as_dict(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


def recovery(at: NDArray[np.int64], recall: NDArray[np.float64], *, wanted: float) -> int | None:
    """The first of the places `at`, (P,) rising, from which on `recall`, (P,), is at least `wanted` for two
    probes running; None when it never is.

    >>> recovery(np.array([1, 2, 3, 4]), np.array([0.2, 0.9, 0.8, 0.9]), wanted=0.8)
    2
    """
    reached = recall >= wanted
    twice = np.flatnonzero(reached[:-1] & reached[1:])
    return int(at[twice[0]]) if len(twice) else None


def draw_drift(curves: Mapping[str, Mapping[str, Any]], *, swap_at: int, to: Path) -> None:
    """A PNG of two panels: recall of the half whose tastes change, and of the other half, by contender.

    ImportError where matplotlib is missing.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6.4), dpi=110, layout="constrained")
    panels = {"changed": "half whose tastes change", "untouched": "untouched half"}
    for place, (half, title) in enumerate(panels.items(), start=1):
        axes = figure.add_subplot(2, 1, place)
        for name, curve in curves.items():
            first = name == next(iter(curves))
            axes.plot(curve["events"], curve[half], label=name, linewidth=2.4 if first else 1.1)
        axes.axvline(swap_at, color="0.5", linestyle=":")
        axes.axvspan(swap_at, swap_at + 2_000, color="0.93", zorder=0)
        axes.set_ylim(bottom=0)
        axes.set_ylabel(f"recall@20, {title}")
        axes.grid(alpha=0.3)
        if place == 1:
            figure.legend(fontsize=8, loc="outside right upper")
    axes.set_xlabel("events (grey: the 2,000 after the swap)")
    figure.savefig(to, format="png")
