"""One order for the records of many partitions, written down so that a restart repeats it.

Kafka orders records within a partition only; how partitions interleave differs from run to run. A learner's
state would then depend on the run. The sequencer takes records as they come, and at every cut appends the
interleaving it chose to a journal; a learner restored from a snapshot first replays the journal's order, so its
state is a function of the snapshot and the log alone. The journal reaches back to the log's start as long as it is
small enough, and to the oldest snapshot in any case: any adapter made since can be made again.
"""

import json
import os
import shutil
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


Offsets = Mapping[tuple[str, int], int]  # next offset by topic and partition


class Journal:
    """An append-only file with one JSON line per cut: the runs since the cut before it. A journal that was cut short
    at its beginning says in its first line from which offsets on it is whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)

    def read(self) -> list[Run]:
        """Every run in order; a last line cut short by a crash is left out (its effects were never published)."""
        return list(self.runs())

    def runs(self) -> Iterator[Run]:
        """As `read`, one by one."""
        for _, line in self._lines():
            if isinstance(line, list):
                yield from line

    @property
    def start(self) -> dict[tuple[str, int], int]:
        """The offsets from which the order is known; empty: from the log's start."""
        for _, line in self._lines():
            return line if isinstance(line, dict) else {}
        return {}

    @property
    def nbytes(self) -> int:
        return self._path.stat().st_size if self._path.exists() else 0

    def append(self, runs: Sequence[Run]) -> None:
        """Write the runs down; OSError when the disk does not take them, and the journal is as it was."""
        line = json.dumps([list(run) for run in runs], separators=(",", ":")).encode() + b"\n"
        with self._path.open("ab", buffering=0) as file:
            if file.tell() and not self._ends_with_newline():
                file.truncate(self._complete_bytes())
            before = file.seek(0, os.SEEK_END)
            try:
                written = 0
                while written < len(line):  # a disk that fills up takes a part first
                    written += file.write(line[written:])
                os.fsync(file.fileno())
            except OSError:
                file.truncate(before)
                raise

    def trim(self, *, before: Offsets, to_bytes: int) -> None:
        """Leave out the oldest cuts, none that reaches beyond `before`, until at most `to_bytes` are left."""
        excess = self.nbytes - to_bytes
        dropped, start = 0, self.start
        for place, line in self._lines():
            if dropped >= excess:
                break
            if isinstance(line, list):
                if any(run.last >= before.get((run.topic, run.partition), 0) for run in line):
                    break
                start |= {(run.topic, run.partition): run.last + 1 for run in line}
            dropped = place
        if not dropped:
            return
        head = json.dumps({"start": [[*at, offset] for at, offset in sorted(start.items())]}).encode() + b"\n"
        partial = self._path.with_name(f".{self._path.name}.partial")
        with self._path.open("rb") as old, partial.open("wb") as new:
            old.seek(dropped)
            new.write(head)
            shutil.copyfileobj(old, new)
            new.flush()
            os.fsync(new.fileno())
        partial.replace(self._path)

    def _lines(self) -> Iterator[tuple[int, list[Run] | dict[tuple[str, int], int]]]:
        """Each line that is whole, and where it ends."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                try:
                    told = json.loads(line) if line.strip() else []
                    if isinstance(told, dict):
                        yield (
                            file.tell(),
                            {(str(topic), int(at)): int(next_) for topic, at, next_ in told["start"]},
                        )
                    else:
                        yield file.tell(), [Run(str(topic), int(at), int(last)) for topic, at, last in told]
                except (ValueError, TypeError, KeyError) as error:
                    if not line.endswith(b"\n"):
                        return
                    raise JournalError(path=str(self._path), line=number) from error

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
            run for run in journal.runs() if run.last >= self._next.get((run.topic, run.partition), 0)
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
        """Write down the order since the last cut; call it before anything learnt from it leaves the process.

        OSError when the disk does not take it: nothing may leave then, and the next cut writes it too.
        """
        if self._runs:
            self._journal.append(self._runs)
            self._runs = []

    def snapshotted(self, *, oldest: Offsets, keep_bytes: int) -> None:
        """The state up to the last cut is saved elsewhere, and the oldest snapshot there starts at `oldest`: what
        lies before it may go once the journal is larger than `keep_bytes`, half of it at a time."""
        if self._journal.nbytes > keep_bytes:
            self._journal.trim(before=oldest, to_bytes=keep_bytes // 2)

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
