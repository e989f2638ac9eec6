"""The whole benchmark over a small stream: processes of their own, resumption, comparison, pages."""

import json
from dataclasses import replace
from multiprocessing import active_children
from pathlib import Path

import numpy as np
import pytest

from load.columns import Columns
from load.errors import BadLoadConfig
from load.prequential.child import ContenderFailed, Job, run_in_child
from load.prequential.curves import draw_curves
from load.prequential.harness import HarnessConfig, compare, ready_stream, run_all
from load.prequential.page import page_of
from load.prequential.prepared import StreamConfig
from load.prequential.running import Run, run_contender
from load.prequential.tables import tables_of
from load.prequential.units import ProtocolConfig
from load.progress import Moment, Silent
from tests.load.prequential.streams import Book, Popular, write_baskets


class Seen(Silent):
    def __init__(self) -> None:
        self.moments: list[Moment] = []

    def show(self, moment: Moment) -> None:
        self.moments.append(moment)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> HarnessConfig:
    folder = tmp_path_factory.mktemp("bench")
    stream = StreamConfig(write_baskets(folder / "rows.parquet"), ProtocolConfig("basket"), Columns())
    return HarnessConfig(stream, ("popular", "shuffled", "mistaken"), folder / "work", subject="shuffled")


@pytest.fixture(scope="module")
def first(config: HarnessConfig) -> tuple[dict[str, Run], dict[str, str], list[Moment]]:
    ready_stream(config)
    seen = Seen()
    runs, failed = run_all(config, factory_of=Book(), watcher=seen)
    return runs, failed, seen.moments


First = tuple[dict[str, Run], dict[str, str], list[Moment]]


def test_a_process_of_its_own_gives_what_this_one_would(config: HarnessConfig, first: First) -> None:
    prepared = ready_stream(config)
    here = run_contender(lambda: Popular(prepared.info), units=prepared.units, info=prepared.info)
    assert (first[0]["popular"].lists == here.lists).all()


def test_one_contender_that_breaks_down_does_not_take_the_others_with_it(first: First) -> None:
    runs, failed, moments = first
    assert set(runs) == {"popular", "shuffled"}
    assert "nothing more fits in" in failed["mistaken"]
    assert any(moment.phase == "popular" and moment.share == 1.0 for moment in moments)
    assert any("failed" in moment.line for moment in moments)


def test_resuming_takes_what_is_finished_and_runs_the_rest_the_same(
    config: HarnessConfig, first: First
) -> None:
    resumed = replace(config, models=("popular", "shuffled"), resume=True)
    out = config.folder / "run-shuffled-7.npz"
    kept = (config.folder / "run-popular-7.npz").stat().st_mtime_ns
    out.unlink()  # as if it had been interrupted there
    runs, failed = run_all(resumed, factory_of=Book(), watcher=Silent())
    assert not failed
    assert (config.folder / "run-popular-7.npz").stat().st_mtime_ns == kept
    assert runs["popular"].elapsed_s == first[0]["popular"].elapsed_s
    assert (runs["shuffled"].lists == first[0]["shuffled"].lists).all()


def test_another_seed_is_another_run(config: HarnessConfig, first: First) -> None:
    other = replace(config, models=("shuffled",), seed=8, resume=True)
    runs, _ = run_all(other, factory_of=Book(), watcher=Silent())
    assert (runs["shuffled"].lists != first[0]["shuffled"].lists).any()


def test_an_interrupted_run_ends_its_process_and_leaves_nothing(
    config: HarnessConfig, tmp_path: Path
) -> None:
    ready_stream(config)
    job = Job("popular", 7, config.folder, tmp_path / "run.npz", Book())
    with pytest.raises(ContenderFailed, match="interrupted"):
        run_in_child(job, seen=lambda _done, _of: None, stopped=lambda: True)
    assert not active_children()
    assert not job.out.exists()


def test_all_breaking_down_is_an_error(config: HarnessConfig) -> None:
    ready_stream(config)
    with pytest.raises(ContenderFailed, match="mistaken: LoadError: nothing more"):
        run_all(replace(config, models=("mistaken",)), factory_of=Book(), watcher=Silent())


def test_the_report_is_the_figures_of_the_lists(config: HarnessConfig, first: First) -> None:
    prepared = ready_stream(config)
    report = compare(config, prepared=prepared, runs=first[0], failed=first[1])
    json.dumps(report, allow_nan=False)
    popular = report["models"]["popular"]
    seen: set[int] = set()
    recall, cold, targets, hits = [], 0, 0, 0
    for unit in prepared.units:
        warm = unit.user in seen
        seen.add(unit.user)
        if unit.index < 0.1 * len(prepared.units):
            continue
        cold += not warm
        if warm:
            shown = first[0]["popular"].lists[unit.index]
            targets += len(unit.items)
            hits += int(np.isin(unit.items, shown).sum())
            recall.append(np.isin(unit.items, shown).sum() / min(20, len(unit.items)))
    assert popular["warm"]["units"] == len(recall) == report["stream"]["warm_units"]
    assert popular["warm"]["recall@20"] == pytest.approx(np.mean(recall), abs=1e-6)
    assert popular["cold"]["units"] == cold
    assert popular["all"]["units"] == len(recall) + cold
    low, high = popular["warm"]["interval"]["recall@20"]
    assert low <= popular["warm"]["recall@20"] <= high
    deciles = popular["popularity_decile"]
    assert sum(decile["units"] for decile in deciles) == targets
    found = sum(decile["units"] * (decile["recall@20"] or 0) for decile in deciles)
    assert found == pytest.approx(hits, abs=0.01)
    # The same items in another order: as many are found, and others stand first.
    assert report["subject"] == "shuffled"
    paired = report["paired"]["popular"]
    assert paired["recall@20"]["difference"] == 0
    assert paired["recall@20"]["p"] == 1
    assert paired["mrr@20"]["difference"] < 0
    assert report["failed"].keys() == {"mistaken"}


def test_the_page_holds_everything_itself(config: HarnessConfig, first: First) -> None:
    report = compare(config, prepared=ready_stream(config), runs=first[0], failed=first[1])
    curves = draw_curves(report)
    assert curves.startswith(b"\x89PNG")
    page = page_of(report, curves=curves)
    assert "data:image/png;base64," in page
    assert "http:" not in page
    assert "https:" not in page
    assert "nothing more fits in" in page
    for table in tables_of(report):
        assert all(len(row) == len(table.header) for row in table.rows), table.title
        assert table.title.replace("'", "&#x27;") in page
    assert "<img" not in page_of(report, curves=None)


@pytest.mark.parametrize("options", [{"models": ()}, {"models": ("a", "a")}, {"jobs": 0}, {"seed": -1}])
def test_runs_that_make_no_sense_are_refused(config: HarnessConfig, options: dict[str, object]) -> None:
    with pytest.raises(BadLoadConfig):
        replace(config, **options)  # type: ignore[arg-type]
