"""Snapshot folders: round trip, replacement, and what a damaged one says."""

from pathlib import Path

import numpy as np
import pytest

from index.errors import SnapshotError
from index.sources.array_folder import Arrays, load_arrays, pack_strings, save_arrays, unpack_strings

ARRAYS: Arrays = {
    "a.b": np.arange(6, dtype=np.int32).reshape(2, 3),
    "half": np.ones(2, np.float16),
    "none": np.zeros((0, 2)),
}


def test_arrays_come_back_and_a_second_save_replaces_the_first(tmp_path: Path) -> None:
    save_arrays(tmp_path / "new" / "folder", {"old": np.zeros(3)})
    save_arrays(tmp_path / "new" / "folder", ARRAYS)
    loaded = load_arrays(tmp_path / "new" / "folder")
    assert loaded.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(loaded[name], array)
        assert loaded[name].dtype == array.dtype
    assert len(list((tmp_path / "new" / "folder").glob("arrays-*"))) == 1


def test_what_a_dead_writer_left_behind_is_not_read_and_is_cleared(tmp_path: Path) -> None:
    save_arrays(tmp_path, ARRAYS)
    (tmp_path / "arrays-2").mkdir()
    (tmp_path / "arrays-2" / "0.npy").write_bytes(b"half")
    (tmp_path / "manifest.json.partial").write_text("{")
    assert load_arrays(tmp_path).keys() == ARRAYS.keys()
    save_arrays(tmp_path, {"only": np.ones(1)})
    assert load_arrays(tmp_path).keys() == {"only"}


def test_missing_damaged_and_foreign_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SnapshotError, match="manifest"):
        load_arrays(tmp_path)
    save_arrays(tmp_path, ARRAYS)
    file = tmp_path / "arrays-1" / "0.npy"
    content = file.read_bytes()
    file.write_bytes(content[:-4])
    with pytest.raises(SnapshotError, match=r"a\.b"):
        load_arrays(tmp_path)
    np.save(file, np.arange(7))
    with pytest.raises(SnapshotError, match="manifest says"):
        load_arrays(tmp_path)
    (tmp_path / "manifest.json").write_text('{"format": 99}')
    with pytest.raises(SnapshotError, match="99"):
        load_arrays(tmp_path)


def test_pickled_objects_are_neither_written_nor_read(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Object arrays"):
        save_arrays(tmp_path, {"object": np.array([{}], dtype=object)})
    save_arrays(tmp_path, {"a": np.zeros(1)})
    np.save(tmp_path / "arrays-1" / "0.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(SnapshotError):
        load_arrays(tmp_path)


def test_no_strings_at_all_are_strings_too() -> None:
    blob, ends = pack_strings([])
    assert unpack_strings({"s": blob, "s_ends": ends}, name="s", count=0) == []


def test_strings_round_trip() -> None:
    strings = ["", "mug", "тарелка", "", "🫖"]
    blob, ends = pack_strings(strings)
    assert unpack_strings({"s": blob, "s_ends": ends}, name="s", count=5) == strings
    with pytest.raises(SnapshotError, match="expected 4"):
        unpack_strings({"s": blob, "s_ends": ends}, name="s", count=4)
