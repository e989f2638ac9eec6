"""`headwater bench prequential` from the command line to the page."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from bench.errors import BenchError
from bench.machine import Machine
from bench.prequential.catalogue import encode_catalogue, read_vectors
from bench.prequential.registry import LEARNED, USUAL, FactoryBook, baseline_names, pick_models
from bench.prequential.run import Outputs, run_benchmark, shown_tables, write_report
from bench.prequential.variants import VARIANTS
from cli.main import app
from events.ids import ItemId
from events.item_vector import decode_item_vector
from events.types import CatalogueItem
from load.columns import Columns
from load.prequential.harness import HarnessConfig
from load.prequential.prepared import StreamConfig
from load.prequential.units import ProtocolConfig
from streams.settings import Settings
from tests.load.prequential.streams import START_MS, write_baskets


def test_models_are_picked_by_name_or_by_protocol() -> None:
    assert pick_models("", protocol="basket")[0] == "headwater"
    assert pick_models("headwater-wide, popularity,popularity", protocol="event") == (
        "headwater-wide",
        "popularity",
    )
    assert set(pick_models("all", protocol="session")) == {*VARIANTS, *baseline_names()}
    for usual in USUAL.values():
        assert set(usual) <= set(baseline_names())
    with pytest.raises(BenchError, match="'pop'; there are headwater"):
        pick_models("pop", protocol="basket")


def test_the_catalogue_is_encoded_once_and_read_back(tmp_path: Path) -> None:
    items = [
        CatalogueItem(item_id=ItemId("mug"), item_name="a red mug", occurred_at=START_MS),
        CatalogueItem(item_id=ItemId("lamp"), item_name="a blue lamp", price=2.5, occurred_at=START_MS + 9),
    ]
    path = tmp_path / "vectors.npz"
    encode_catalogue(items, settings=Settings(), path=path)
    made = path.stat().st_mtime_ns
    encode_catalogue(items, settings=Settings(), path=path)
    assert path.stat().st_mtime_ns == made
    (first_ms, first), (then_ms, then) = read_vectors(path)
    assert (first_ms, then_ms) == (START_MS, START_MS + 9)
    assert first.value is not None
    assert then.value is not None
    assert (first.key, then.key) == (b"mug", b"lamp")
    assert decode_item_vector(first.value).title == "a red mug"
    assert decode_item_vector(then.value).price == 2.5
    assert len(decode_item_vector(then.value).vector) == 2 * 384
    assert read_vectors(tmp_path / "none.npz") == []


@pytest.fixture
def config(tmp_path: Path) -> HarnessConfig:
    data = write_baskets(tmp_path / "rows.parquet", baskets=80)
    items = {"item": ["i0", "i1"], "text": ["a mug", "a lamp"], "first_ts": [START_MS, START_MS]}
    pq.write_table(pa.table(items), tmp_path / "items.parquet")
    stream = StreamConfig(data, ProtocolConfig("basket"), Columns(), "qty > 0", tmp_path / "items.parquet")
    return HarnessConfig(stream, ("popularity", "headwater-wide"), tmp_path / "work")


def test_product_and_baseline_run_side_by_side_into_one_report(config: HarnessConfig, tmp_path: Path) -> None:
    sources = {"items": 256, "users": 128, "sessions": 512}
    settings = Settings().updated(sources=sources, serving={"candidates": 60})
    said: list[str] = []
    report = run_benchmark(
        config,
        settings=settings,
        machine=Machine.describe(["headwater", "bench", "prequential"]),
        now=datetime(2026, 11, 22, tzinfo=UTC),
        tell=said.append,
    )
    write_report(report, to=Outputs(tmp_path / "out" / "a.json", tmp_path / "page"))
    assert json.loads((tmp_path / "out" / "a.json").read_text()) == json.loads(json.dumps(report))
    assert sorted(path.name for path in (tmp_path / "page").iterdir()) == [
        "curves.png",
        "index.html",
        "report.json",
    ]
    assert report["subject"] == "headwater-wide"
    assert report["header"]["date"] == "2026-11-22T00:00:00+00:00"
    for model in report["models"].values():
        assert {"warm", "cold", "all", "young"} <= model.keys()
        assert {"units", "recall@20", "ndcg@20", "mrr@20", "hitrate@20"} <= model["warm"].keys()
        assert model["units_per_s"] > 0
        assert model["peak_rss_mb"] > 10
    ours, theirs = (report["models"][name]["warm"]["recall@5"] for name in ("headwater-wide", "popularity"))
    assert ours > theirs
    assert "headwater-wide" in shown_tables(report)
    assert "80 units, " in said[0]


def test_the_book_gives_each_name_its_contender_fresh(config: HarnessConfig) -> None:
    from load.prequential.harness import ready_stream

    info = ready_stream(config).info
    book = FactoryBook(Settings(), config.folder / "none.npz")
    for name in ("popularity", "stan", "lambdamart", *LEARNED):
        factory = book(name)
        assert factory(info, 7).name == name
        assert factory(info, 7) is not factory(info, 7)


def test_the_learned_baselines_are_all_listed() -> None:
    from bench.prequential import baselines_torch

    assert set(LEARNED) == baselines_torch.LEARNED.keys()


def test_the_command_runs_a_baseline_and_resumes(tmp_path: Path) -> None:
    data = write_baskets(tmp_path / "rows.parquet", baskets=60)
    table = pq.read_table(data).rename_columns({"user": "visitor_id", "item": "sku"})
    pq.write_table(table, data)
    command = ["bench", "prequential", "--data", str(data), "--columns", "item=sku", "--models", "popularity"]
    command += ["--where", "event = 'purchase' AND user <> 'u1'", "--json", str(tmp_path / "out.json")]
    for more in ([], ["--resume", "--report", str(tmp_path / "page")]):
        result = CliRunner().invoke(app, [*command, *more])
        assert result.exit_code == 0, result.output
        assert "popularity" in result.stdout
    report = json.loads((tmp_path / "out.json").read_text())
    assert report["stream"]["where"].startswith("event")
    assert report["stream"]["rows_left_out"]["not in --where"] > 0
    assert (tmp_path / "page" / "index.html").is_file()
    assert (tmp_path / "out.work").is_dir()


def test_help_teaches_the_protocols() -> None:
    shown = CliRunner().invoke(app, ["bench", "prequential", "--help"], env={"COLUMNS": "200"}).output
    for word in ("--where", "--protocol", "--session-gap-min", "--resume", "headwater-slate", "basket"):
        assert word in shown
