"""A snapshot is replaced whole or not at all, and a damaged one is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from index.errors import SnapshotError
from index.items import ItemIndex

_DIM = 8


def _vectors(n: int, *, seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((n, _DIM)).astype(np.float32)


def _saved(folder: Path) -> ItemIndex:
    index = ItemIndex(_DIM)
    index.upsert(np.arange(1, 51, dtype=np.int32), _vectors(50, seed=12))
    index.rebuild()
    index.upsert(np.arange(41, 61, dtype=np.int32), _vectors(20, seed=13))
    index.snapshot(folder)
    return index


def test_a_later_snapshot_replaces_the_earlier_and_leaves_no_files(tmp_path: Path) -> None:
    index = _saved(tmp_path)
    first = {file.name for file in tmp_path.iterdir()}
    index.remove(np.array([1], np.int32))
    index.snapshot(tmp_path)
    second = {file.name for file in tmp_path.iterdir()}
    assert first & second == {"manifest.json"}
    assert len(second) == 3
    assert len(ItemIndex.load(tmp_path)) == 59


def test_a_snapshot_cut_short_before_its_manifest_leaves_the_old_one_whole(tmp_path: Path) -> None:
    index = _saved(tmp_path)
    (tmp_path / "v999-1.faiss").write_bytes(b"half a file")
    (tmp_path / "v999-1.manifest").write_text("{")
    assert len(ItemIndex.load(tmp_path)) == len(index)
    index.snapshot(tmp_path)
    assert not (tmp_path / "v999-1.faiss").exists()


@pytest.mark.parametrize("damage", ["missing", "manifest", "format", "field", "faiss", "arrays", "gone"])
def test_a_damaged_snapshot_is_refused(tmp_path: Path, damage: str) -> None:
    _saved(tmp_path)
    manifest = tmp_path / "manifest.json"
    content = json.loads(manifest.read_text())
    main_file = tmp_path / content["files"]["main"]["name"]
    arrays_file = tmp_path / content["files"]["arrays"]["name"]
    match damage:
        case "missing":
            manifest.unlink()
        case "manifest":
            manifest.write_text("{")
        case "format":
            manifest.write_text(json.dumps(content | {"format": 99}))
        case "field":
            manifest.write_text(json.dumps({key: content[key] for key in content if key != "limits"}))
        case "faiss":
            main_file.write_bytes(main_file.read_bytes()[:-8] + b"01234567")
        case "arrays":
            arrays_file.write_bytes(arrays_file.read_bytes()[:-8] + b"01234567")
        case "gone":
            main_file.unlink()
    with pytest.raises(SnapshotError, match=str(tmp_path)):
        ItemIndex.load(tmp_path)
