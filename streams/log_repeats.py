"""Keeps a library that tries again ten times a second from filling the log while a server is away."""

import logging
import re
import time
from collections.abc import Callable

_EVERY_S = 10.0
_KINDS_MAX = 256
_ARGUMENT = re.compile(r"%[^a-zA-Z]*[a-zA-Z]")


class Repeats(logging.Filter):
    """Lets one line of a kind through in `every_s`; the next one says how many were left out.

    A kind is a logger, a level and a message before its arguments; with them, where it is nothing but arguments
    (warnings are logged as "%s"). Loggers under `own` pass always.
    """

    def __init__(
        self, own: str, *, every_s: float = _EVERY_S, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()
        self._own = own
        self._every_s = every_s
        self._now_s = now_s
        self._kinds: dict[tuple[str, int, str], tuple[float, int]] = {}  # when it passed, left out since

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written; called under the handler's lock."""
        if record.name == self._own or record.name.startswith(f"{self._own}."):
            return True
        kind = (record.name, record.levelno, _kind_of(record))
        now_s = self._now_s()
        passed_s, left_out = self._kinds.get(kind, (-self._every_s, 0))
        if now_s - passed_s < self._every_s:
            self._kinds[kind] = (passed_s, left_out + 1)
            return False
        if len(self._kinds) >= _KINDS_MAX:
            self._kinds.clear()
        self._kinds[kind] = (now_s, 0)
        if left_out:
            record.msg = f"{record.getMessage()} (and {left_out} more like it)"
            record.args = ()
        return True


def _kind_of(record: logging.LogRecord) -> str:
    message = str(record.msg)
    return message if any(map(str.isalnum, _ARGUMENT.sub("", message))) else record.getMessage()
