"""One contender over a stream: the rules it must keep, and what is written down."""

import mmap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from load.columns import Columns
from load.prequential.contender import Repeat, StreamInfo, Unit
from load.prequential.prepared import Prepared, StreamConfig, prepare
from load.prequential.running import BadContender, Run, peak_mb, run_contender
from load.prequential.units import ProtocolConfig
from tests.load.prequential.streams import START_MS, Popular, Scripted, write_baskets


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    folder = tmp_path_factory.mktemp("prepared")
    data = write_baskets(folder / "rows.parquet", baskets=30)
    return prepare(StreamConfig(data, ProtocolConfig("basket"), Columns()), folder=folder / "work")


def test_each_unit_is_asked_for_before_it_is_learnt(prepared: Prepared) -> None:
    order: list[tuple[str, int]] = []

    class Witness(Popular):
        def recommend(self, query, /, *, k):  # type: ignore[no-untyped-def]
            order.append(("asked", query.index))
            assert not hasattr(query, "items")
            return super().recommend(query, k=k)

        def learn(self, unit: Unit, /) -> None:
            order.append(("learnt", unit.index))
            super().learn(unit)

    told: list[int] = []
    run = run_contender(
        lambda: Witness(prepared.info), units=prepared.units, info=prepared.info, seen=told.append
    )
    assert order == [(what, at) for at in range(30) for what in ("asked", "learnt")]
    assert told == list(range(1, 31))
    assert (run.lists[0] == -1).all()
    first = next(iter(prepared.units)).items
    assert sorted(run.lists[1][: len(first)].tolist()) == sorted(first.tolist())
    assert run.units_per_s > 0
    assert run.peak_mb >= run.before_mb > 1


def test_what_repeats_the_item_before_is_shown_in_its_turn_and_not_asked_for(tmp_path: Path) -> None:
    table = {
        "ts": [START_MS + at for at in (1, 2, 3, 4, 5, 6)],
        "user": ["a", "b", "a", "b", "a", "a"],
        "item": ["x", "y", "x", "z", "y", "y"],  # a's second x and second y are repeats
        "event": ["view", "view", "addtocart", "view", "view", "addtocart"],
    }
    pq.write_table(pa.table(table), tmp_path / "clicks.parquet")
    config = StreamConfig(tmp_path / "clicks.parquet", ProtocolConfig("session"), Columns())
    made = prepare(config, folder=tmp_path / "work")
    order: list[tuple[str, int]] = []

    class Witness(Popular):
        def recommend(self, query, /, *, k):  # type: ignore[no-untyped-def]
            order.append(("asked", query.at_ms - START_MS))
            return super().recommend(query, k=k)

        def learn(self, unit: Unit, /) -> None:
            order.append(("learnt", unit.at_ms - START_MS))

        def see(self, repeat: Repeat, /) -> None:
            order.append((made.info.event_names[made.info.event[repeat.rows][0]], repeat.at_ms - START_MS))

    run_contender(lambda: Witness(made.info), units=made.units, info=made.info)
    assert order == [
        ("asked", 1), ("learnt", 1), ("asked", 2), ("learnt", 2),
        ("addtocart", 3),
        ("asked", 4), ("learnt", 4), ("asked", 5), ("learnt", 5),
    ]  # fmt: skip


def test_memory_is_told_over_the_stream_to_its_end(prepared: Prepared) -> None:
    held: list[mmap.mmap] = []  # new memory, which an array could take from what earlier tests have freed

    class Hoarder(Popular):
        def learn(self, unit: Unit, /) -> None:
            if unit.index == 29:
                held.append(mmap.mmap(-1, 200_000_000))
                held[0].write(bytes(200_000_000))

    run = run_contender(lambda: Hoarder(prepared.info), units=prepared.units, info=prepared.info)
    assert run.memory_mb[-1] > run.memory_mb[-2] + 150
    held[0].close()


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (np.array([0, 0]), "distinct"),
        (np.array([-1]), "distinct codes"),
        (np.array([10_000]), "distinct codes"),
        (np.zeros(1, np.float64), "float64"),
        (np.arange(21), r"\(21,\)"),
        (np.arange(4).reshape(2, 2), r"\(2, 2\)"),
    ],
)
def test_lists_that_break_the_rules_stop_the_run(
    prepared: Prepared, answer: NDArray[np.int64], says: str
) -> None:
    with pytest.raises(BadContender, match=says):
        run_contender(lambda: Scripted([answer]), units=prepared.units, info=prepared.info)


def test_an_item_that_nobody_can_know_yet_stops_the_run(prepared: Prepared) -> None:
    script = [np.zeros(0, np.int64), np.array([prepared.info.n_items - 1])]
    with pytest.raises(BadContender, match="unit 1: recommends item"):
        run_contender(lambda: Scripted(script), units=prepared.units, info=prepared.info)


def test_the_catalogue_makes_an_item_known_only_once_its_time_is_past(prepared: Prepared) -> None:
    info: StreamInfo = prepared.info
    first_ts = np.full(info.n_items, 2**62, np.int64)
    script = [np.zeros(0, np.int64)] * 30
    script[1] = np.array([info.n_items - 1])
    first_ts[-1] = prepared.units.at_ms[1] - 1
    run_contender(lambda: Scripted(script), units=prepared.units, info=replace(info, item_first_ts=first_ts))
    first_ts[-1] += 1
    with pytest.raises(BadContender, match="nobody can know"):
        run_contender(
            lambda: Scripted(script), units=prepared.units, info=replace(info, item_first_ts=first_ts)
        )


def test_a_run_comes_back_from_its_file(prepared: Prepared, tmp_path: Path) -> None:
    run = run_contender(lambda: Popular(prepared.info), units=prepared.units, info=prepared.info)
    run.save(tmp_path / "run.npz")
    again = Run.load(tmp_path / "run.npz")
    assert (again.lists == run.lists).all()
    assert (again.learn_us == run.learn_us).all()
    assert (again.peak_mb, again.elapsed_s, again.cpu_s) == (run.peak_mb, run.elapsed_s, run.cpu_s)
    assert [path.name for path in tmp_path.iterdir()] == ["run.npz"]


def test_the_peak_is_the_kernels_high_water_mark(tmp_path: Path) -> None:
    (tmp_path / "status").write_text("Name:\tpython\nVmHWM:\t  2000 kB\nVmRSS:\t 100 kB\n")
    assert peak_mb(tmp_path / "status") == pytest.approx(2.048)
    assert peak_mb(tmp_path / "none") > 1
