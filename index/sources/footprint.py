"""How much memory a set of objects has allocated in arrays."""

from typing import Any

import numpy as np


def footprint(*owners: object) -> int:
    """Bytes of all arrays that the owners' attributes lead to, through objects of this package; each once.

    A view counts as the array that it looks into.
    """
    buffers: dict[int, int] = {}
    seen: set[int] = set()
    waiting: list[Any] = list(owners)
    while waiting:
        value = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, np.ndarray):
            while isinstance(value.base, np.ndarray):
                value = value.base
            buffers[id(value)] = value.nbytes
        elif isinstance(value, (list, tuple)):
            waiting.extend(value)
        elif type(value).__module__ in ("index.rows",) or type(value).__module__.startswith("index.sources."):
            names = getattr(type(value), "__slots__", None) or vars(value)
            waiting.extend(getattr(value, name) for name in names)
    return sum(buffers.values())
