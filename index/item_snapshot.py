"""The item index on disk: one FAISS file, one safetensors file, and a manifest that makes them current.

Every snapshot writes files of new names and then renames its manifest over the old one, so that whoever
reads finds the old snapshot or the new one, whole. Files that no manifest names are deleted afterwards.
"""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import xxhash
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from index.errors import SnapshotError
from index.main_tier import IvfTier, MainTier, read_tier

FORMAT = 1
_MANIFEST = "manifest.json"
_DTYPES = {"main_rows": np.int32, "alive_rows": np.int32, "fresh_rows": np.int32, "fresh_vectors": np.float16}


@dataclass(frozen=True, slots=True)
class Limits:
    """What an index was made with; saved, so that a loaded one behaves alike."""

    dim: int
    main_limit_flat: int
    fresh_limit: int
    nprobe: int
    max_row: int


@dataclass(frozen=True, slots=True)
class Saved:
    """An item index as values."""

    limits: Limits
    version: int
    main: MainTier | None
    alive_rows: NDArray[np.int32]  # (A,) rows whose vector in `main` is current
    fresh_rows: NDArray[np.int32]  # (F,)
    fresh_vectors: NDArray[np.float16]  # (F, D)


def write(saved: Saved, path: Path) -> None:
    """Put `saved` into the folder `path`, replacing the snapshot that is there, atomically."""
    path.mkdir(parents=True, exist_ok=True)
    stem = f"v{saved.version}-{os.getpid()}"
    files: dict[str, str] = {}
    main: dict[str, Any] | None = None
    main_rows = np.zeros(0, dtype=np.int32)
    if saved.main is not None:
        main_rows = saved.main.rows
        files["main"] = f"{stem}.faiss"
        faiss.write_index(saved.main.faiss_index(), str(path / files["main"]))
        trained_on = saved.main.trained_on if isinstance(saved.main, IvfTier) else 0
        main = {"kind": saved.main.kind, "trained_on": trained_on}
    files["arrays"] = f"{stem}.safetensors"
    save_file(
        {
            "main_rows": main_rows,
            "alive_rows": saved.alive_rows,
            "fresh_rows": saved.fresh_rows,
            "fresh_vectors": saved.fresh_vectors,
        },
        path / files["arrays"],
    )
    manifest = {
        "format": FORMAT,
        "version": saved.version,
        "limits": asdict(saved.limits),
        "main": main,
        "files": {role: {"name": name, "xxh3_64": _digest(path / name)} for role, name in files.items()},
    }
    for name in files.values():
        _sync(path / name)
    temporary = path / f"{stem}.manifest"
    temporary.write_text(json.dumps(manifest, indent=1))
    _sync(temporary)
    temporary.replace(path / _MANIFEST)
    _sync(path)
    for old in path.iterdir():
        if old.suffix in {".faiss", ".safetensors", ".manifest"} and old.name not in files.values():
            old.unlink()


def read(path: Path) -> Saved:
    """The snapshot in the folder `path`. SnapshotError where there is none, or it is damaged."""
    try:
        manifest = json.loads((path / _MANIFEST).read_bytes())
    except FileNotFoundError as error:
        raise SnapshotError(f"{path} holds no snapshot: it has no {_MANIFEST}") from error
    except ValueError as error:
        raise SnapshotError(f"{path / _MANIFEST} is not JSON") from error
    try:
        if manifest["format"] != FORMAT:
            raise SnapshotError(f"{path} has format {manifest['format']}; this version reads {FORMAT}")
        limits = Limits(**manifest["limits"])
        version, main = int(manifest["version"]), manifest["main"]
        named = {role: path / entry["name"] for role, entry in manifest["files"].items()}
        digests = {role: entry["xxh3_64"] for role, entry in manifest["files"].items()}
        trained_on = int(main["trained_on"]) if main is not None else 0
        arrays_file, main_file = named["arrays"], named["main"] if main is not None else None
    except (KeyError, TypeError, AttributeError) as error:
        raise SnapshotError(f"{path / _MANIFEST} lacks or misnames {error}") from error
    for role, file in named.items():
        if not file.is_file():
            raise SnapshotError(f"{file} is missing, although the manifest names it")
        if _digest(file) != digests[role]:
            raise SnapshotError(f"{file} is damaged: its checksum is not the manifest's")
    arrays = _arrays(arrays_file, dim=limits.dim)
    tier: MainTier | None = None
    if main_file is not None:
        tier = read_tier(
            str(main_file),
            kind=main["kind"],
            rows=arrays["main_rows"],
            nprobe=limits.nprobe,
            trained_on=trained_on,
        )
    return Saved(
        limits=limits,
        version=version,
        main=tier,
        alive_rows=arrays["alive_rows"],
        fresh_rows=arrays["fresh_rows"],
        fresh_vectors=arrays["fresh_vectors"],
    )


def _arrays(file: Path, *, dim: int) -> dict[str, NDArray[Any]]:
    try:
        arrays: dict[str, NDArray[Any]] = load_file(file)
    except SafetensorError as error:
        raise SnapshotError(f"{file} is not a safetensors file") from error
    if {name: array.dtype for name, array in arrays.items()} != _DTYPES:
        raise SnapshotError(f"{file} holds {sorted(arrays)}; expected {sorted(_DTYPES)}")
    if arrays["fresh_vectors"].shape != (len(arrays["fresh_rows"]), dim):
        raise SnapshotError(f"{file}: fresh_vectors have shape {arrays['fresh_vectors'].shape}")
    return arrays


def _digest(file: Path) -> str:
    digest = xxhash.xxh3_64()
    with file.open("rb") as opened:
        while block := opened.read(1 << 20):
            digest.update(block)
    return str(digest.hexdigest())


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
