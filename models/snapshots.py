"""A learner's whole state on disk: one folder a snapshot, tensors and a JSON manifest, never a pickle.

A folder appears by one rename, so a crash leaves either the old snapshots or the old and the new one.
"""

import json
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.numpy
from safetensors import SafetensorError

from models.durable import Sync, appearing
from models.durable import sync as sync_to_disk
from models.errors import ConfigError, InputError, SnapshotError, SnapshotNotSaved
from models.learner import Learner

FORMAT = 2
_NAME = re.compile(r"snapshot-(\d{12})")
_MANIFEST, _TENSORS = "manifest.json", "learner.safetensors"


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored."""

    path: Path
    config: str  # stands for the settings it was made with
    extra: dict[str, Any]  # what the caller gave to `save_snapshot`: offsets and the like


def save_snapshot(
    learner: Learner,
    root: Path,
    *,
    extra: Mapping[str, Any],
    config: str = "",
    keep: int = 3,
    also: Callable[[Path], None] = lambda _folder: None,
    sync: Sync = sync_to_disk,
) -> Path:
    """Write the learner's state and the caller's `extra` (plain JSON values) under `root`; the new folder.

    `also` writes what else belongs to the snapshot into its folder, before that appears: all of it or nothing,
    and on disk, file by file. `config` stands for the settings it was made with. The newest `keep` snapshots
    stay, older ones are removed after the new one is safely there.

    Raises SnapshotNotSaved, and the snapshots there are stay, where the disk does not take it.
    """
    if keep < 1:
        raise ConfigError(f"keep is {keep}; at least the newest snapshot must stay")
    earlier = snapshots(root)
    number = _number(earlier[-1]) + 1 if earlier else 1
    path = root / f"snapshot-{number:012d}"
    manifest = {
        "format": FORMAT,
        "fingerprint": learner.ranker.fingerprint(),
        "config": config,
        "batches": learner.batches,
        "units": learner.units,
        "extra": dict(extra),
    }
    try:
        with appearing(path, sync=sync) as partial:
            safetensors.numpy.save_file(learner.snapshot(), partial / _TENSORS)
            (partial / _MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
            also(partial)
    except (OSError, SafetensorError) as error:
        raise SnapshotNotSaved(f"{path} was not saved, what was there before is: {error}") from error
    for old in snapshots(root)[:-keep]:
        shutil.rmtree(old)
    return path


def restore_snapshot(learner: Learner, root: Path) -> Restored | None:
    """Take the newest snapshot under `root`; None where there is none.

    Raises SnapshotError, and the learner keeps its state, when it is damaged, of a format this version does
    not read, or of another configuration.
    """
    found = snapshots(root)
    if not found:
        return None
    path = found[-1]
    try:
        manifest = json.loads((path / _MANIFEST).read_text())
        if manifest["format"] != FORMAT:
            raise SnapshotError(f"{path} has format {manifest['format']}; this version reads {FORMAT}")
        if manifest["fingerprint"] != learner.ranker.fingerprint():
            raise SnapshotError(
                f"{path} is of the ranker {manifest['fingerprint']}, this one is "
                f"{learner.ranker.fingerprint()}: features, backbone or sizes differ"
            )
        learner.restore(dict(safetensors.numpy.load_file(path / _TENSORS)))
    except (OSError, ValueError, KeyError, SafetensorError, InputError) as error:
        raise SnapshotError(
            f"cannot restore {path}: {error}; remove the folder to start from the snapshot before it"
        ) from error
    return Restored(path, manifest["config"], manifest["extra"])


def snapshots(root: Path) -> list[Path]:
    """The complete snapshots under `root`, oldest first."""
    if not root.is_dir():
        return []
    return sorted(path for path in root.iterdir() if _NAME.fullmatch(path.name))


def extra_of(path: Path) -> dict[str, Any]:
    """What the owner of the snapshot `path` gave as `extra`; SnapshotError when it cannot be read."""
    try:
        extra: dict[str, Any] = json.loads((path / _MANIFEST).read_text())["extra"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SnapshotError(f"the manifest of {path} cannot be read: {error!r}") from error
    return extra


def _number(path: Path) -> int:
    return int(path.name.removeprefix("snapshot-"))
