"""Keeps the learner's whole order: its journal starts anew at every snapshot, and what was in it is gone.

A hard link to each journal file as it appears; the learner removes its own name of the file, never its content.
"""

import os
from pathlib import Path
from threading import Event, Thread

_LOOK_S = 0.02


class JournalKeeper:
    """A thread that links every new `journal.jsonl` of `folder` into `kept`, numbered."""

    def __init__(self, folder: Path, *, kept: Path) -> None:
        self._journal = folder / "journal.jsonl"
        self._kept = kept
        kept.mkdir(parents=True, exist_ok=True)
        self._last = -1  # inode of the last one kept; our link keeps the number from being used again
        self._count = 0
        self._stop = Event()
        self._thread = Thread(target=self._run, name="journal-keeper", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()
        self._look()

    def whole(self) -> bytes:
        """All complete lines, in their order: what one journal would hold that was never cleared."""
        parts = [path.read_bytes() for path in sorted(self._kept.iterdir())]
        return b"".join(part[: part.rfind(b"\n") + 1] for part in parts)

    def _run(self) -> None:
        while not self._stop.wait(_LOOK_S):
            self._look()

    def _look(self) -> None:
        try:
            inode = self._journal.stat().st_ino
            if inode == self._last:
                return
            link = self._kept / f"{self._count:08d}.jsonl"
            os.link(self._journal, link)
        except FileNotFoundError:
            return
        self._last = link.stat().st_ino
        self._count += 1
