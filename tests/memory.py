"""How much memory an object holds, with all that it leads to: what must not grow for ever."""

import gc
import logging
import sys
import threading
import types
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

_LEFT_OUT = (
    types.ModuleType,
    types.FunctionType,
    types.BuiltinFunctionType,
    types.CodeType,
    types.FrameType,
    type,
    logging.Logger,
    threading.Thread,
)


def held_bytes(root: Any) -> int:
    """Bytes of everything that `root` leads to, each object once; code, types, loggers and threads left out."""
    seen: set[int] = set()
    waiting = [root]
    total = 0
    while waiting:
        value = waiting.pop()
        if id(value) in seen or isinstance(value, _LEFT_OUT) or type(value).__module__.startswith("numba"):
            continue
        seen.add(id(value))
        if isinstance(value, torch.Tensor):
            packed = value.is_mkldnn  # weights in oneDNN's own layout show no storage
            total += value.numel() * value.element_size() if packed else value.untyped_storage().nbytes()
        elif isinstance(value, np.ndarray):
            if value.base is None:
                total += value.nbytes
            else:
                waiting.append(value.base)
            continue
        total += sys.getsizeof(value)
        waiting.extend(gc.get_referents(value))
    return total


def held_by_part(owners: Mapping[str, Any]) -> dict[str, int]:
    """Bytes by owner and attribute, so that a failure names what grew."""
    return {
        f"{name}.{attribute}": held_bytes(value)
        for name, owner in owners.items()
        for attribute, value in vars(owner).items()
    }
