"""What a simulation found out: how often shoppers click what they are shown, over time and by arm."""

from collections import defaultdict
from dataclasses import asdict, dataclass
from typing import Any

import msgspec

from load.report import render
from load.shoppers import Chances


@dataclass(frozen=True, slots=True)
class Served:
    """Slates shown: clicks a slot, as they fell and as expected of the shoppers' tastes, and what a perfect
    and a random slate would have been expected to get in their place."""

    slates: int
    slots: int
    clicks: int
    ctr: float
    expected_ctr: float
    oracle_ctr: float
    random_ctr: float


@dataclass(frozen=True, slots=True)
class Window:
    """One stretch of the run, from `from_s` on."""

    from_s: float
    after_swap: bool
    served: Served


class Tally:
    """Adds slates up."""

    def __init__(self) -> None:
        self.slates = self.slots = self.clicks = 0
        self._slate = self._oracle = self._random = 0.0

    def add(self, *, slots: int, clicks: int, worth: Chances) -> None:
        """One slate was shown."""
        self.slates += 1
        self.slots += slots
        self.clicks += clicks
        self._slate += worth.slate * slots
        self._oracle += worth.oracle * slots
        self._random += worth.random * slots

    def served(self) -> Served:
        """What was added so far; rates are 0 before the first slate."""
        slots = max(self.slots, 1)
        rates = (value / slots for value in (self.clicks, self._slate, self._oracle, self._random))
        return Served(self.slates, self.slots, self.clicks, *(round(rate, 5) for rate in rates))


class Tallies:
    """The slates of a run by window and by arm; as many windows as the run has."""

    def __init__(self, *, window_s: float, swap_at_s: float | None) -> None:
        self.all = Tally()
        self._window_s = window_s
        self._swap_at_s = swap_at_s
        self._windows: dict[int, Tally] = defaultdict(Tally)
        self._arms: dict[str, Tally] = defaultdict(Tally)

    def add(self, *, at_s: float, arm: str, slots: int, clicks: int, worth: Chances) -> None:
        """One slate was shown at `at_s`."""
        for tally in (self.all, self._windows[int(at_s // self._window_s)], self._arms[arm]):
            tally.add(slots=slots, clicks=clicks, worth=worth)

    def windows(self) -> list[Window]:
        """By time. The window in which tastes were swapped counts as before it."""
        return [
            Window(
                number * self._window_s,
                self._swap_at_s is not None and number * self._window_s >= self._swap_at_s,
                tally.served(),
            )
            for number, tally in sorted(self._windows.items())
        ]

    def arms(self) -> dict[str, Served]:
        """By the policy's arm."""
        return {arm: tally.served() for arm, tally in sorted(self._arms.items())}


@dataclass(frozen=True, slots=True)
class SimulationReport:
    """One run of simulate. `items_shown` counts distinct items; `unknown_items` the slots whose item is not
    of the simulation's catalogue, and which its shoppers never click."""

    seed: int
    items: int
    shoppers: int
    elapsed_s: float
    page_views: int
    events_sent: int
    recommendations: int
    unreadable_recommendations: int
    items_shown: int
    unknown_items: int
    total: Served
    windows: list[Window]
    arms: dict[str, Served]
    interrupted: bool

    def as_dict(self) -> dict[str, Any]:
        """Everything, as plain values."""
        return {"kind": "simulation", **asdict(self)}

    def to_json(self) -> str:
        """The report as indented JSON."""
        return msgspec.json.format(msgspec.json.encode(self.as_dict()), indent=2).decode()

    def to_text(self, *, width: int = 100) -> str:
        """The report as a table to read."""
        rows = [
            ("shop", f"{self.items:,} items, {self.shoppers:,} shoppers, seed {self.seed}"),
            (
                "page views",
                f"{self.page_views:,} in {self.elapsed_s:.1f} s, {self.events_sent:,} events sent",
            ),
            ("recommendations", f"{self.recommendations:,} read, {self.total.slates:,} shown"),
            ("items shown", f"{self.items_shown:,} distinct, {self.unknown_items:,} slots of unknown items"),
            ("clicks a slot", _line(self.total)),
        ]
        rows += [(f"  arm {arm}", _line(served)) for arm, served in self.arms.items()]
        rows += [
            (
                f"  from {window.from_s:g} s" + (" (swapped)" if window.after_swap else ""),
                _line(window.served),
            )
            for window in self.windows
        ]
        return render(rows, title="simulation" + (" (interrupted)" if self.interrupted else ""), width=width)


def _line(served: Served) -> str:
    return (
        f"{served.ctr:.3f} seen, {served.expected_ctr:.3f} expected "
        f"(random {served.random_ctr:.3f}, oracle {served.oracle_ctr:.3f}; {served.slates:,} slates)"
    )
