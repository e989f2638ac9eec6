"""The examples in the docstrings of events/ run, and say what happens."""

import doctest
import importlib
import pkgutil

import pytest

import events

MODULES = sorted(module.name for module in pkgutil.iter_modules(events.__path__, "events."))


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_hold(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples() -> None:
    counts = [doctest.testmod(importlib.import_module(name)).attempted for name in MODULES]
    assert sum(counts) >= 8
