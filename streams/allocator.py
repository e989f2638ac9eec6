"""What the C library keeps of freed memory: without a bound, a long-lived worker's grows with its threads' peaks."""

import ctypes

_M_ARENA_MAX = -8  # malloc.h of the GNU C library
_ARENAS = 2


def bound_arenas() -> bool:
    """Let all threads share `_ARENAS` heaps, in place of eight for each core, in which each thread's peak stays.

    Whether it is done: only the GNU C library has them. Call it before threads start.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and mallopt(_M_ARENA_MAX, _ARENAS) == 1
