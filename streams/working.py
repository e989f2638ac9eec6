"""Tells a worker's consumer, on its own thread and event loop, when the agent has worked off a batch."""

import asyncio
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self


class Working:
    """Entered by the agent around the work on a batch; `over` waits for its end, from any thread's event loop.

    What is fetched while a batch is worked on waits for it, and what came a moment later is not among it: it
    has to wait for a fetch more. So a fetch is best asked for when the work ends, however long that took.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._busy = False
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []

    def __enter__(self) -> Self:
        with self._lock:
            self._busy = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._busy = False
            waiting, self._waiting = self._waiting, []
        for loop, ended in waiting:
            with suppress(RuntimeError):  # a loop that has been closed waits for nothing
                loop.call_soon_threadsafe(ended.set)

    async def over(self, *, timeout_s: float) -> bool:
        """Return once no batch is worked on, or after `timeout_s`: whether it was in time."""
        waiter = (asyncio.get_running_loop(), asyncio.Event())
        with self._lock:
            if not self._busy:
                return True
            self._waiting.append(waiter)
        try:
            async with asyncio.timeout(timeout_s):
                await waiter[1].wait()
            return True
        except TimeoutError:
            return False
        finally:
            with self._lock:  # work without end would gather who gave up
                if waiter in self._waiting:
                    self._waiting.remove(waiter)
