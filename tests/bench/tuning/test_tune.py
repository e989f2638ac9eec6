"""`headwater tune` on a tiny stream: it sees only the beginning, resumes, and proposes settings that load."""

import json
import math
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from bench.errors import BenchError
from bench.machine import Machine
from bench.prequential.variants import Variant
from bench.tuning.judged import CHECKPOINTS, Outcome, Piece, first_share, judge
from bench.tuning.page import page_of
from bench.tuning.run import TuneConfig, tune
from bench.tuning.study import StudyConfig, search
from cli.main import app
from load.columns import Columns
from load.prequential.prepared import Prepared, StreamConfig, prepare
from load.prequential.units import ProtocolConfig
from load.progress import Silent
from streams.settings import Settings
from tests.load.prequential.streams import write_baskets

SMALL = Settings().updated(
    sources={"items": 256, "users": 128, "sessions": 512}, serving={"candidates": 60, "deep_candidates": 20}
)


def config(folder: Path, *, baskets: int = 200, share: float = 0.2, trials: int = 3) -> TuneConfig:
    data = folder / "rows.parquet"
    if not data.is_file():
        write_baskets(data, baskets=baskets)
    stream = StreamConfig(data, ProtocolConfig("basket"), Columns())
    return TuneConfig(
        stream=stream,
        work=folder / "work",
        journal=folder / "j.journal",
        share=share,
        trials=trials,
        confirm=1,
    )


def run(given: TuneConfig, settings: Settings = SMALL):  # type: ignore[no-untyped-def]
    return tune(given, settings=settings, machine=Machine.describe(["headwater", "tune"]), watcher=Silent())


def test_defaults_first_then_better_or_not_and_settings_that_load(tmp_path: Path) -> None:
    report = run(config(tmp_path))
    json.dumps(report, allow_nan=False)
    assert report["units"] == 40
    assert report["units_of_stream"] == 200
    assert len(report["trials"]) == 3
    assert report["default"] == report["trials"][0]
    assert report["default"]["values"]["learner.wide_lr"] == SMALL.learner.wide_lr
    assert report["default"]["values"]["serving.candidates"] == 60
    assert report["best"]["score"] == max(t["score"] for t in report["trials"] if t["score"] is not None)
    proposed = tomllib.loads(report["toml"])
    tuned = SMALL.updated(**proposed)
    assert tuned.learner.wide_lr == report["best"]["values"]["learner.wide_lr"]
    page = page_of(report)
    assert f"**{report['default']['score']:.4f}**" in page
    assert report["toml"] in page


def test_a_resumed_search_is_the_unbroken_one(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    whole = run(replace(config(tmp_path / "a", trials=4), confirm=0))
    for trials in (2, 4):
        broken = run(replace(config(tmp_path / "b", trials=trials), confirm=0))

    def results(report):  # type: ignore[no-untyped-def]
        return [(trial["values"], trial["curve"], trial["score"]) for trial in report["trials"]]

    assert results(broken) == results(whole)


def test_a_journal_of_another_search_is_refused(tmp_path: Path) -> None:
    run(replace(config(tmp_path, trials=1), confirm=0))
    with pytest.raises(BenchError, match="other metric"):
        run(replace(config(tmp_path, trials=1), metric="recall@20"))


def test_no_new_trial_after_the_time_but_the_defaults_always(tmp_path: Path) -> None:
    report = run(replace(config(tmp_path, trials=9), minutes=0.0, confirm=0))
    assert len(report["trials"]) == 1
    assert report["best"] == report["default"]


def test_a_trial_below_the_median_curve_is_stopped_and_good_ones_are_found(tmp_path: Path) -> None:
    """Scores that the step size alone decides: the search ends nearer the best one, 0.01, than it began."""
    steps_run: list[int] = []

    def objective(values, report):  # type: ignore[no-untyped-def]
        score = 1.0 - abs(math.log10(float(values["learner.wide_lr"]) / 0.01))
        steps_run.append(0)
        for step in range(1, CHECKPOINTS + 1):
            report(step, score * step / CHECKPOINTS)
            steps_run[-1] = step
        return Outcome(score, 1.0)

    study = StudyConfig(trials=30, seed=1, journal=tmp_path / "j", about={})
    tried = search(study, settings=SMALL, objective=objective)
    assert len(tried) == 30
    stopped = [each for each in tried if each.score is None]
    assert len(stopped) > 5
    assert all(max(each.curve) < CHECKPOINTS for each in stopped)
    assert steps_run[:5] == [CHECKPOINTS] * 5  # the first are the median that later ones are held against
    best = max(each.score for each in tried if each.score is not None)
    assert tried[0].score == pytest.approx(1.0 + math.log10(0.4))
    assert best > 0.95


def prepared_of(data: Path, folder: Path) -> Prepared:
    return prepare(StreamConfig(data, ProtocolConfig("basket"), Columns()), folder=folder)


def test_what_comes_after_the_share_changes_nothing(tmp_path: Path) -> None:
    """The same beginning with another rest scores the same, to the last bit."""
    data = write_baskets(tmp_path / "rows.parquet", baskets=200)
    table = pq.read_table(data).sort_by("ts")
    items = np.array(table.column("item").to_pylist())
    late = len(items) // 2
    items[late:] = np.roll(items[late:], 17)
    at = table.schema.get_field_index("item")
    other = table.set_column(at, "item", [items.tolist()])
    pq.write_table(other, tmp_path / "other.parquet")
    curves = []
    for name in ("rows", "other"):
        whole = prepared_of(tmp_path / f"{name}.parquet", tmp_path / name)
        piece = Piece(first_share(whole, share=0.25), ProtocolConfig("basket"), (), "ndcg@20")
        curve: dict[int, float] = {}
        judge(SMALL, variant=Variant(deep=False), seed=7, piece=piece, report=curve.__setitem__)
        curves.append(curve)
    assert curves[0] == curves[1]
    assert max(curves[0]) == CHECKPOINTS
    assert 0 < curves[0][CHECKPOINTS] < 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"share": 0.3}, "--allow-more"),
        ({"share": 0.0}, "above 0"),
        ({"metric": "auc"}, "ndcg@20"),
        ({"model": "stan"}, "no variant"),
        ({"confirm": -1}, "0 or more"),
    ],
)
def test_wrong_options_are_refused(tmp_path: Path, wrong, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(BenchError, match=message):
        replace(config(tmp_path), **wrong)


def test_more_of_the_stream_only_when_asked_for(tmp_path: Path) -> None:
    assert replace(config(tmp_path), share=0.5, allow_more=True).share == 0.5


def test_the_command_prints_toml_and_writes_json(tmp_path: Path) -> None:
    data = write_baskets(tmp_path / "rows.parquet", baskets=150)
    command = [
        "tune",
        "--data",
        str(data),
        "--json",
        str(tmp_path / "t.json"),
        "--trials",
        "1",
        "--confirm",
        "0",
    ]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert "[learner]" in result.stdout
    assert json.loads((tmp_path / "t.json").read_text())["kind"] == "tune"
    assert (tmp_path / "t.journal").is_file()


def test_help_teaches() -> None:
    shown = CliRunner().invoke(app, ["tune", "--help"], env={"COLUMNS": "200"}).output
    for word in ("--share", "--allow-more", "--minutes", "--journal", "headwater.toml", "median"):
        assert word in shown
