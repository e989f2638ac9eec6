"""Folders that appear whole, and stay: everything on disk before the one rename that makes them."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

Sync = Callable[[Path], None]


def sync(path: Path) -> None:
    """Return once the file, or the names in the folder, are on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def appearing(folder: Path, *, sync: Sync = sync) -> Iterator[Path]:
    """A folder to write into, which becomes `folder` when the `with` ends, with every file in it on disk.

    When anything fails, what was written is removed, and `folder` does not appear.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir()
        yield partial
        for path in sorted(partial.rglob("*")):
            sync(path)
        sync(partial)
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    sync(folder.parent)
