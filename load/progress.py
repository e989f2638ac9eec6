"""What a run shows while it goes: a bar on a terminal, plain lines elsewhere, or nothing."""

import sys
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

_PLAIN_EVERY_S = 5.0


@dataclass(frozen=True, slots=True)
class Moment:
    """How a run stands. `share` is the part done, 0 to 1, or None where the end is not known."""

    phase: str
    elapsed_s: float
    share: float | None
    line: str


class Watcher(Protocol):
    """Is shown how the run stands, several times a second. A context manager around the run."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, moment: Moment) -> None:
        """Must return at once: it runs in the thread that sends."""


class Silent:
    """Shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def show(self, moment: Moment) -> None:
        """Does nothing."""


class PlainLines(Silent):
    """Prints a line every few seconds, and one for each new phase."""

    def __init__(self, out: TextIO, *, every_s: float = _PLAIN_EVERY_S) -> None:
        self._out = out
        self._every_s = every_s
        self._phase = ""
        self._next_s = 0.0

    def show(self, moment: Moment) -> None:
        """Prints `moment` when a line is due."""
        if moment.phase == self._phase and moment.elapsed_s < self._next_s:
            return
        self._phase, self._next_s = moment.phase, moment.elapsed_s + self._every_s
        share = "" if moment.share is None else f" {moment.share:4.0%}"
        print(f"{moment.elapsed_s:7.1f} s {moment.phase}{share}  {moment.line}", file=self._out, flush=True)


class Bar(Silent):
    """A rich progress bar; redrawn only when shown something, so that no second thread draws."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[line]}"),
            console=console,
            auto_refresh=False,
        )
        self._task = self._progress.add_task("", total=None, line="")
        self._next_s = 0.0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.refresh()
        self._progress.stop()

    def show(self, moment: Moment) -> None:
        """Draws `moment`, twice a second at most."""
        known = moment.share is not None
        self._progress.update(
            self._task,
            description=moment.phase,
            completed=moment.share or 0.0,
            total=1.0 if known else None,
            line=moment.line,
        )
        now = time.monotonic()
        if now >= self._next_s:
            self._next_s = now + 0.5
            self._progress.refresh()


def watcher_for(out: TextIO | None = None) -> Watcher:
    """A bar where `out` (default: standard error) is a terminal, else plain lines."""
    stream = out or sys.stderr
    return Bar(Console(file=stream)) if stream.isatty() else PlainLines(stream)
