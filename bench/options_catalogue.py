"""The options that users ask for by name, as changes of the settings: docs/options.md explains each."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.errors import BenchError


@dataclass(frozen=True, slots=True)
class Option:
    """One change of the settings that a run is made with; `pretrain` gives it an encoder of its own."""

    changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    pretrain: bool = False

    def __str__(self) -> str:
        """The settings changed, as `group.field value`."""
        told = [
            f"{group}.{name} {value}"
            for group, fields in self.changes.items()
            for name, value in fields.items()
        ]
        return ", ".join(told + ["headwater pretrain"] * self.pretrain) or "as configured"


BASE = "base"
OPTIONS: dict[str, Option] = {
    BASE: Option(),
    "no-tasks": Option({"deep": {"task_weight": 0.0}}),
    "focal": Option({"learner": {"focal_gamma": 1.0}}),
    "class-balanced": Option({"learner": {"class_balance": 0.999}}),
    "fgm": Option({"deep": {"fgm_epsilon": 0.1}}),
    "pretrained": Option(pretrain=True),
    "layers-1": Option({"deep": {"layers": 1}}),
    "layers-4": Option({"deep": {"layers": 4}}),
    "float32": Option({"deep": {"dtype": "float32"}}),
    "bfloat16": Option({"deep": {"dtype": "bfloat16"}}),
    "int8": Option({"deep": {"dtype": "int8"}}),
    "train-float32": Option({"deep": {"train_dtype": "float32"}}),
    "train-bfloat16": Option({"deep": {"train_dtype": "bfloat16"}}),
    "twin": Option({"deep": {"twin": True}}),
    "augment": Option({"deep": {"augment": ("crop", "mask", "reorder")}}),
    "lr-low": Option({"deep": {"lr": 5e-4}}),
}


def chosen(only: str) -> dict[str, Option]:
    """BASE and the options named, separated by commas; all for an empty string. BenchError for others.

    >>> list(chosen("twin,int8"))
    ['base', 'twin', 'int8']
    """
    names = [name.strip() for name in only.split(",") if name.strip()] or list(OPTIONS)
    if unknown := [name for name in names if name not in OPTIONS]:
        raise BenchError(f"no option is called {unknown[0]!r}; there are {', '.join(OPTIONS)}")
    return {name: OPTIONS[name] for name in dict.fromkeys([BASE, *names])}
