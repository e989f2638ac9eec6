"""How deep a record nests, told from its bytes alone: a decoder's own limit depends on who calls it."""

import re

import numpy as np

from events.limits import MAX_DEPTH

_MARKS = b'"[]{}'
_OTHERS = bytes(set(range(256)) - set(_MARKS))
_PLAIN_STRING = re.compile(rb'"[^"]*"')
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_STEP = np.zeros(256, np.int8)
_STEP[list(b"[{")] = 1
_STEP[list(b"]}")] = -1


def too_deep(raw: bytes) -> bool:
    """Whether arrays and objects lie more than MAX_DEPTH deep anywhere before the first thing that is not JSON.

    >>> too_deep(b"[" * 500), too_deep(b"[" * 501), too_deep(b'{"[":1}' * 900)
    (False, True, False)
    """
    return raw.count(b"[") + raw.count(b"{") > MAX_DEPTH and depth(raw) > MAX_DEPTH


def depth(raw: bytes) -> int:
    """The most brackets that are open at once, those in strings left out.

    >>> depth(b'{"a": [[], "[[["]}'), depth(rb'["\\"[["]')
    (3, 1)
    """
    escapes = b"\\" in raw
    brackets = _STRING.sub(b"", raw) if escapes else _PLAIN_STRING.sub(b"", raw.translate(None, _OTHERS))
    steps = _STEP[np.frombuffer(brackets, np.uint8)]
    return int(np.cumsum(steps, dtype=np.int64).max(initial=0))
