from pathlib import Path

import numpy as np
import pytest

from models.errors import ConfigError, SnapshotError, SnapshotNotSaved
from models.learner import Learner, LearnerConfig
from models.ranker import RankerConfig
from models.replay import ReplayConfig
from models.snapshots import restore_snapshot, save_snapshot, snapshots
from tests.full_disk import files_up_to
from tests.models.planted import DIM, by_feature, clustered_table

F = 6
TABLE = clustered_table()
SMALL = LearnerConfig(replay=ReplayConfig(recent=64, reservoir=64, candidates=12), deep_every=2)


def learner_of(config: RankerConfig, *, learner_config: LearnerConfig = SMALL) -> Learner:
    return Learner(config, learner_config, n_features=F, dim=DIM)


def teach(learner: Learner, *, batches: range) -> None:
    for unit in map(by_feature, batches):
        learner.learn(unit.batch, TABLE, gains=unit.gains)


def assert_same(one: Learner, two: Learner) -> None:
    arrays = two.snapshot()
    for name, array in one.snapshot().items():
        np.testing.assert_array_equal(array, arrays[name], err_msg=name)


def test_a_restart_from_disk_learns_on_to_the_same_bits(ranker_config: RankerConfig, tmp_path: Path) -> None:
    whole, first, second = (learner_of(ranker_config) for _ in range(3))
    teach(whole, batches=range(10))
    teach(first, batches=range(5))
    save_snapshot(first, tmp_path, extra={"offsets": {"clicks": [3, 2**40]}})
    restored = restore_snapshot(second, tmp_path)
    assert restored is not None
    assert restored.extra == {"offsets": {"clicks": [3, 2**40]}}
    teach(second, batches=range(5, 10))
    assert_same(whole, second)


def test_the_newest_snapshots_stay(wide_config: RankerConfig, tmp_path: Path) -> None:
    learner = learner_of(wide_config)
    for number in range(5):
        teach(learner, batches=range(number, number + 1))
        save_snapshot(learner, tmp_path / "root", extra={"number": number}, keep=2)
    assert [path.name[-1] for path in snapshots(tmp_path / "root")] == ["4", "5"]
    restored = restore_snapshot(learner_of(wide_config), tmp_path / "root")
    assert restored is not None
    assert restored.extra == {"number": 4}
    with pytest.raises(ConfigError, match="keep"):
        save_snapshot(learner, tmp_path, extra={}, keep=0)


def test_a_crash_while_writing_leaves_the_snapshot_before_it(
    wide_config: RankerConfig, tmp_path: Path
) -> None:
    learner = learner_of(wide_config)
    save_snapshot(learner, tmp_path, extra={"number": 1})
    torn = tmp_path / ".snapshot-000000000002.partial"
    torn.mkdir()
    (torn / "learner.safetensors").write_bytes(b"half")
    restored = restore_snapshot(learner_of(wide_config), tmp_path)
    assert restored is not None
    assert restored.extra == {"number": 1}
    assert save_snapshot(learner, tmp_path, extra={}).name == "snapshot-000000000002"
    assert not torn.exists()


def test_nothing_to_restore_is_none(wide_config: RankerConfig, tmp_path: Path) -> None:
    assert restore_snapshot(learner_of(wide_config), tmp_path / "nowhere") is None


def test_a_damaged_snapshot_is_refused_and_the_learner_keeps_its_state(
    wide_config: RankerConfig, tmp_path: Path
) -> None:
    learner = learner_of(wide_config)
    path = save_snapshot(learner, tmp_path, extra={})
    tensors = path / "learner.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-8])
    other, untouched = learner_of(wide_config), learner_of(wide_config)
    with pytest.raises(SnapshotError, match="remove the folder"):
        restore_snapshot(other, tmp_path)
    assert_same(other, untouched)


def test_a_snapshot_of_another_configuration_is_refused(wide_config: RankerConfig, tmp_path: Path) -> None:
    learner = learner_of(wide_config)
    teach(learner, batches=range(3))
    save_snapshot(learner, tmp_path, extra={})
    wider = RankerConfig(wide_hidden=(33, 16), deep=None)
    with pytest.raises(SnapshotError, match="sizes differ"):
        restore_snapshot(learner_of(wider), tmp_path)
    shorter = LearnerConfig(replay=ReplayConfig(recent=8, reservoir=8, candidates=12))
    other, untouched = (learner_of(wide_config, learner_config=shorter) for _ in range(2))
    with pytest.raises(SnapshotError, match="expected float32"):
        restore_snapshot(other, tmp_path)
    assert_same(other, untouched)


def test_every_file_and_folder_of_a_snapshot_is_on_disk_before_it_appears(
    wide_config: RankerConfig, tmp_path: Path
) -> None:
    synced: list[tuple[str, bool]] = []

    def also(folder: Path) -> None:
        (folder / "memory" / "deep").mkdir(parents=True)
        (folder / "memory" / "deep" / "states.npy").write_bytes(b"states")

    def sync(path: Path) -> None:
        synced.append((path.name, (tmp_path / "snapshot-000000000001").exists()))

    path = save_snapshot(learner_of(wide_config), tmp_path, extra={}, also=also, sync=sync)
    before = {name for name, appeared in synced if not appeared}
    assert {one.name for one in path.rglob("*")} <= before
    assert f".{path.name}.partial" in before
    assert synced[-1] == (tmp_path.name, True)


@pytest.mark.parametrize("nbytes", [0, 10, 4096])
def test_full_disk_leaves_the_snapshots_there_are_and_nothing_half_written(
    nbytes: int, wide_config: RankerConfig, tmp_path: Path
) -> None:
    learner = learner_of(wide_config)
    save_snapshot(learner, tmp_path, extra={"number": 1})
    teach(learner, batches=range(2))
    with files_up_to(nbytes), pytest.raises(SnapshotNotSaved, match="what was there before is"):
        save_snapshot(learner, tmp_path, extra={"number": 2}, keep=1)
    assert [path.name for path in tmp_path.iterdir()] == ["snapshot-000000000001"]
    restored = restore_snapshot(learner_of(wide_config), tmp_path)
    assert restored is not None
    assert restored.extra == {"number": 1}
    assert save_snapshot(learner, tmp_path, extra={}, keep=1).name == "snapshot-000000000002"


def test_full_disk_while_what_else_belongs_to_it_is_written(
    wide_config: RankerConfig, tmp_path: Path
) -> None:
    def also(folder: Path) -> None:
        with files_up_to(100):
            (folder / "states.npy").write_bytes(b"s" * 1000)

    with pytest.raises(SnapshotNotSaved):
        save_snapshot(learner_of(wide_config), tmp_path, extra={}, also=also)
    assert list(tmp_path.iterdir()) == []
