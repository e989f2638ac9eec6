"""A benchmark's figures as a table to read and as JSON to compare."""

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.machine import Machine
from load.report import render


@dataclass(frozen=True, slots=True)
class Goal:
    """What a figure is held against."""

    figure: str
    limit: float
    at_least: bool = False  # else at most

    def met(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit

    def __str__(self) -> str:
        return f"{'≥' if self.at_least else '≤'} {self.limit:g}"


@dataclass(frozen=True, slots=True)
class BenchReport:
    """One run of one benchmark. `figures` are the keys that the JSON has at its top level; of `details`, lists
    of rows are left out of the table."""

    name: str
    figures: Mapping[str, Any]
    settings: Mapping[str, Any]
    machine: Machine
    details: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    goals: tuple[Goal, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Everything, as plain values; numbers that are not finite become None."""
        verdicts = {
            goal.figure: {"goal": str(goal), "met": goal.met(float(self.figures[goal.figure]))}
            for goal in self.goals
        }
        whole = {
            "kind": f"bench {self.name}",
            **self.figures,
            "goals": verdicts,
            "settings": self.settings,
            "details": self.details,
            "notes": self.notes,
            "machine": self.machine.as_dict(),
            "load_average_after": round(os.getloadavg()[0], 2),
        }
        return {key: _plain(value) for key, value in whole.items()}

    def to_json(self) -> str:
        """The report as indented JSON."""
        return json.dumps(self.as_dict(), indent=2, allow_nan=False) + "\n"

    def to_text(self, *, width: int = 110) -> str:
        """The report as tables to read."""
        goals = {goal.figure: goal for goal in self.goals}
        rows = []
        for name, value in self.figures.items():
            text = shown(value)
            if goal := goals.get(name):
                text += f"   (goal {goal}: {'met' if goal.met(float(value)) else 'NOT met'})"
            rows.append((name, text))
        rows += [(name, shown(value)) for name, value in self.details.items() if _short(value)]
        rows += [("settings", ", ".join(f"{name} {shown(value)}" for name, value in self.settings.items()))]
        load = ", ".join(f"{value:g}" for value in self.machine.load_average)
        versions = ", ".join(f"{name} {number}" for name, number in self.machine.versions.items())
        rows += [("note", note) for note in self.notes]
        rows += [
            ("date", self.machine.date),
            ("machine", self.machine.line()),
            ("load average", f"{load} before, {os.getloadavg()[0]:.2f} after"),
            ("versions", versions),
            ("command", self.machine.command),
        ]
        return render(rows, title=f"bench {self.name}", width=width)

    def publish(self, path: Path | None) -> None:
        """Print the table on standard output and, with a path, write the JSON there."""
        print(self.to_text())
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(self.to_json())


def shown(value: Any) -> str:
    """A value as a reader wants it.

    >>> shown(1234.5678), shown({"a": 0.01234, "b": 2}), shown([1, 2])
    ('1,234.6', 'a 0.0123, b 2', '1, 2')
    """
    match value:
        case bool() | str() | None:
            return str(value)
        case int():
            return f"{value:,}"
        case float():
            if value == 0 or not math.isfinite(value):
                return f"{value:g}"
            return f"{value:,.1f}" if abs(value) >= 100 else f"{value:.3g}"
        case Mapping():
            nested = any(isinstance(part, Mapping) for part in value.values())
            return ("\n" if nested else ", ").join(f"{name} {shown(part)}" for name, part in value.items())
        case _:
            return ", ".join(shown(part) for part in value)


def _short(value: Any) -> bool:
    """Whether it is for the table: lists of rows are for the JSON alone."""
    return not (isinstance(value, list) and value and isinstance(value[0], Mapping))


def _plain(value: Any) -> Any:
    match value:
        case float():
            return round(value, 4) if math.isfinite(value) else None
        case Mapping():
            return {str(name): _plain(part) for name, part in value.items()}
        case list() | tuple():
            return [_plain(part) for part in value]
        case Path():
            return str(value)
        case _:
            return value
