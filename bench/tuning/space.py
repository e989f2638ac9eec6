"""What `headwater tune` may turn: the settings of the product, each with its range; `SPACE` is the whole table."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from bench.errors import BenchError
from streams.settings import Settings
from streams.settings_example import toml_value

Value = float | int | str
Values = Mapping[str, Value]
"""By setting, `group.field`; sizes of layers as text, "96,64", as the environment has them."""


@dataclass(frozen=True, slots=True)
class Real:
    """A number from `low` to `high`, evenly by its logarithm."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number from `low` to `high`; `log`: evenly by its logarithm."""

    low: int
    high: int
    log: bool = False


@dataclass(frozen=True, slots=True)
class OneOf:
    """One of a few values."""

    values: tuple[Value, ...]


Dial = Real | Whole | OneOf

SPACE: dict[str, Dial] = {
    "learner.wide_lr": Real(5e-4, 2e-2),
    "learner.wide_hidden": OneOf(("64,32", "96,64", "128,64", "192,96")),
    "learner.weight_decay": Real(1e-6, 1e-2),
    "learner.batch_units": OneOf((8, 16, 32, 64)),
    "learner.replay_ratio": Whole(1, 32, log=True),
    "learner.replay_steps": Whole(1, 8),
    "learner.average": OneOf((0.0, 0.9, 0.97, 0.99, 0.995)),
    "serving.candidates": Whole(60, 300),
}


class Trial(Protocol):
    """What is asked of optuna's trial."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float: ...
    def suggest_int(self, name: str, low: int, high: int, *, log: bool = False) -> int: ...
    def suggest_categorical(self, name: str, choices: tuple[Value, ...]) -> Value: ...


def present(settings: Settings) -> dict[str, Value]:
    """The values that `settings` have."""
    found: dict[str, Value] = {}
    for name in SPACE:
        group, field = name.split(".")
        value = getattr(getattr(settings, group), field)
        found[name] = ",".join(map(str, value)) if isinstance(value, tuple) else value
    return found


def space_around(settings: Settings) -> dict[str, Dial]:
    """SPACE, widened where `settings` are outside of it, so that they can be compared."""
    return {name: _widened(SPACE[name], value) for name, value in present(settings).items()}


def suggest(trial: Trial, *, space: Mapping[str, Dial]) -> dict[str, Value]:
    """A value for each setting of `space`."""
    found: dict[str, Value] = {}
    for name, dial in space.items():
        match dial:
            case Real():
                found[name] = float(f"{trial.suggest_float(name, dial.low, dial.high, log=True):.3g}")
            case Whole():
                found[name] = trial.suggest_int(name, dial.low, dial.high, log=dial.log)
            case OneOf():
                found[name] = trial.suggest_categorical(name, dial.values)
    return found


def applied(settings: Settings, *, values: Values) -> Settings:
    """`settings` with these values, validated again."""
    groups: dict[str, dict[str, Value]] = {}
    for name, value in values.items():
        group, field = name.split(".")
        groups.setdefault(group, {})[field] = value
    return settings.updated(**groups)


def toml_lines(settings: Settings, *, values: Values) -> str:
    """`values` as the lines of a headwater.toml, a `[group]` before its settings."""
    new = applied(settings, values=values)
    lines: list[str] = []
    for name in sorted(values):
        group, field = name.split(".")
        if f"[{group}]" not in lines:
            lines += [f"[{group}]"]
        lines.append(f"{field} = {toml_value(getattr(getattr(new, group), field))}")
    return "\n".join(lines)


def _widened(dial: Dial, value: Value) -> Dial:
    match dial:
        case OneOf():
            return dial if value in dial.values else OneOf((*dial.values, value))
        case Real() if isinstance(value, float | int) and value > 0:
            return Real(min(dial.low, value), max(dial.high, value))
        case Whole() if isinstance(value, int):
            return Whole(min(dial.low, value), max(dial.high, value), dial.log)
        case _:
            raise BenchError(f"a setting of the search is {value!r}; it must be in reach of {dial}")
