"""Arrays of a snapshot in a folder: one .npy each and a JSON manifest, never a pickled object.

The manifest names the sub-folder that holds the arrays and is replaced in one rename, after the arrays are
safely on disk: a reader meets the old snapshot or the new one, whole.
"""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from index.errors import SnapshotError

FORMAT = 1
Arrays = dict[str, NDArray[np.generic]]


def save_arrays(folder: Path, arrays: Arrays) -> None:
    """Write the arrays to `folder`, in place of what it held."""
    folder.mkdir(parents=True, exist_ok=True)
    previous = _manifest(folder)["generation"] if (folder / "manifest.json").exists() else 0
    generation = int(previous) + 1
    inside = folder / f"arrays-{generation}"
    if inside.exists():  # what a writer that died had begun
        shutil.rmtree(inside)
    inside.mkdir()
    files = {}
    for number, (name, array) in enumerate(sorted(arrays.items())):
        files[name] = {"file": f"{number}.npy", "shape": list(array.shape), "dtype": array.dtype.str}
        with (inside / f"{number}.npy").open("wb") as out:
            np.save(out, array, allow_pickle=False)
            os.fsync(out.fileno())
    manifest = {"format": FORMAT, "generation": generation, "arrays": files}
    partial = folder / "manifest.json.partial"
    with partial.open("w") as text:
        json.dump(manifest, text, indent=1)
        text.flush()
        os.fsync(text.fileno())
    partial.replace(folder / "manifest.json")
    for other in folder.glob("arrays-*"):
        if other != inside:
            shutil.rmtree(other)


def load_arrays(folder: Path) -> Arrays:
    """The arrays that `save_arrays` wrote; SnapshotError when they are missing or damaged."""
    manifest = _manifest(folder)
    arrays: Arrays = {}
    for name, entry in manifest["arrays"].items():
        path = folder / f"arrays-{manifest['generation']}" / entry["file"]
        try:
            array = np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise SnapshotError(
                f"array {name!r} of {folder} cannot be read from {path.name}: {error}"
            ) from error
        if list(array.shape) != entry["shape"] or array.dtype.str != entry["dtype"]:
            raise SnapshotError(
                f"array {name!r} of {folder} is {array.dtype.str} {list(array.shape)}; "
                f"its manifest says {entry['dtype']} {entry['shape']}"
            )
        arrays[name] = array
    return arrays


def pack_strings(strings: list[str]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The strings as UTF-8 bytes one after the other, and where each ends.

    >>> blob, ends = pack_strings(["mug", "", "té"])
    >>> bytes(blob), ends.tolist()
    (b'mugt\\xc3\\xa9', [3, 3, 6])
    """
    encoded = [text.encode() for text in strings]
    ends = np.cumsum([len(part) for part in encoded], dtype=np.int64)
    return np.frombuffer(b"".join(encoded), np.uint8).copy(), ends


def unpack_strings(arrays: Arrays, *, name: str, count: int) -> list[str]:
    """`count` strings from `pack_strings`' arrays `name` and `name`_ends; SnapshotError if they aren't."""
    blob, ends = arrays.get(name), arrays.get(f"{name}_ends")
    if blob is None or ends is None or blob.dtype != np.uint8 or ends.dtype != np.int64 or len(ends) != count:
        raise SnapshotError(f"strings {name!r} are missing or malformed; expected {count} of them")
    stops: list[int] = ends.tolist()
    starts = [0, *stops][:count]
    last = stops[-1] if stops else 0
    if any(start > stop for start, stop in zip(starts, stops, strict=True)) or last != len(blob):
        raise SnapshotError(f"strings {name!r} have {len(blob)} bytes in disorder; expected {last}, in order")
    data = blob.tobytes()
    try:
        return [data[start:stop].decode() for start, stop in zip(starts, stops, strict=True)]
    except UnicodeDecodeError as error:
        raise SnapshotError(f"strings {name!r} are not UTF-8: {error}") from error


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
    except (OSError, ValueError) as error:
        raise SnapshotError(f"no readable manifest.json in {folder}: {error}") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        found = manifest.get("format") if isinstance(manifest, dict) else manifest
        raise SnapshotError(f"manifest of {folder} has format {found!r}; this version reads {FORMAT}")
    return manifest
