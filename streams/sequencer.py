"""One order for the records of many partitions, written down so that a restart repeats it.

Kafka orders records within a partition only; how partitions interleave differs from run to run. A learner's
state would then depend on the run. The sequencer takes records as they come, and at every cut appends the
interleaving it chose to a journal; a learner restored from a snapshot first replays the journal's order, so its
state is a function of the snapshot and the log alone.
"""

import json
import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from streams.errors import JournalError
from streams.log_reader import LogRecord

_RUNS_MAX = 4_096  # held between two cuts


class Run(NamedTuple):
    """Records of one partition taken without a break, up to and including `last`."""

    topic: str
    partition: int
    last: int


class Journal:
    """An append-only file with one JSON line per cut: the runs since the cut before it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)

    def read(self) -> list[Run]:
        """Every run in order; a last line cut short by a crash is left out (its effects were never published)."""
        if not self._path.exists():
            return []
        runs: list[Run] = []
        lines = self._path.read_bytes().split(b"\n")
        for number, line in enumerate(lines, start=1):
            if not line:
                continue
            try:
                runs.extend(
                    Run(str(topic), int(partition), int(last)) for topic, partition, last in json.loads(line)
                )
            except (ValueError, TypeError) as error:
                if number == len(lines):
                    break
                raise JournalError(path=str(self._path), line=number) from error
        return runs

    def append(self, runs: Sequence[Run]) -> None:
        with self._path.open("ab") as file:
            if file.tell() and not self._ends_with_newline():
                file.truncate(self._complete_bytes())
            file.write(json.dumps([list(run) for run in runs], separators=(",", ":")).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def clear(self) -> None:
        """Forget everything: a snapshot now includes it."""
        self._path.unlink(missing_ok=True)

    def _ends_with_newline(self) -> bool:
        with self._path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) == b"\n"

    def _complete_bytes(self) -> int:
        return self._path.read_bytes().rfind(b"\n") + 1


class Sequencer:
    """`offer` records in partition order; `ready` yields them in the journal's order, then in the order offered."""

    def __init__(self, journal: Journal, *, start: Mapping[tuple[str, int], int] | None = None) -> None:
        """`start`: next offset by topic and partition; what lies before it is not waited for and not taken."""
        self._journal = journal
        self._next = dict(start or {})
        self._replay = deque(
            run for run in journal.read() if run.last >= self._next.get((run.topic, run.partition), 0)
        )
        self._waiting: dict[tuple[str, int], deque[LogRecord]] = {}
        self._offered: deque[LogRecord] = deque()
        self._runs: list[Run] = []

    @property
    def replaying(self) -> bool:
        """Whether the journal still decides the order."""
        return bool(self._replay)

    def offer(self, record: LogRecord) -> None:
        """Take a record; one that was offered before (a rebalance brings it again) is passed over."""
        place = (record.topic, record.partition)
        if record.offset < self._next.get(place, 0):
            return
        self._next[place] = record.offset + 1
        if self._replay:
            self._waiting.setdefault(place, deque()).append(record)
        else:
            self._offered.append(record)

    def ready(self) -> Iterator[LogRecord]:
        """The records whose turn has come, each once."""
        while self._replay:
            run = self._replay[0]
            waiting = self._waiting.get((run.topic, run.partition))
            while waiting and waiting[0].offset <= run.last:
                record = waiting.popleft()
                finished = record.offset == run.last
                if finished:
                    self._next_run()
                yield record
                if finished:
                    break
            else:
                if not waiting:
                    return
                self._next_run()  # compaction took the run's last record: the run is as long as it can be
        while self._offered:
            record = self._offered.popleft()
            self._note(record)
            yield record

    def cut(self) -> None:
        """Write down the order since the last cut; call it before anything learnt from it leaves the process."""
        if self._runs:
            self._journal.append(self._runs)
            self._runs = []

    def snapshotted(self) -> None:
        """The state up to the last cut is saved elsewhere: the journal starts anew."""
        self._journal.clear()

    def _note(self, record: LogRecord) -> None:
        if self._runs and self._runs[-1][:2] == (record.topic, record.partition):
            self._runs[-1] = Run(record.topic, record.partition, record.offset)
        else:
            self._runs.append(Run(record.topic, record.partition, record.offset))
            if (
                len(self._runs) >= _RUNS_MAX
            ):  # a stream that brings no training step: memory is no place for it
                self.cut()

    def _next_run(self) -> None:
        """Once the journal is used up, what already waits goes on in the order of topic, partition, offset."""
        self._replay.popleft()
        if not self._replay:
            for key in sorted(self._waiting):
                self._offered.extend(self._waiting[key])
            self._waiting.clear()
