"""The table and the JSON of a benchmark."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bench.machine import Machine, cpu_model
from bench.report import BenchReport, Goal


@pytest.fixture
def report() -> BenchReport:
    return BenchReport(
        name="speed",
        figures={"p99_ms": 12.5, "eps": 900, "stages": {"wide": {"p50_ms": 0.1}}},
        settings={"rate": 10},
        machine=Machine.describe(["/somewhere/bin/headwater", "bench", "speed"]),
        details={"worst": float("inf"), "timeline": [{"second": 1, "p50_ms": 2.0}]},
        goals=(Goal("p99_ms", 10), Goal("eps", 800, at_least=True)),
    )


def test_figures_are_keys_at_the_top_of_the_json(report: BenchReport) -> None:
    written = json.loads(report.to_json())
    assert written["p99_ms"] == 12.5
    assert written["eps"] == 900
    assert written["kind"] == "bench speed"


def test_each_goal_says_whether_it_was_met(report: BenchReport) -> None:
    goals = json.loads(report.to_json())["goals"]
    assert goals == {"p99_ms": {"goal": "≤ 10", "met": False}, "eps": {"goal": "≥ 800", "met": True}}
    assert "NOT met" in report.to_text()


def test_numbers_that_json_has_not_are_null(report: BenchReport) -> None:
    assert json.loads(report.to_json())["details"]["worst"] is None


def test_rows_of_a_timeline_are_in_the_json_and_not_in_the_table(report: BenchReport) -> None:
    assert json.loads(report.to_json())["details"]["timeline"] == [{"second": 1, "p50_ms": 2.0}]
    assert "timeline" not in report.to_text()


def test_the_command_is_told_without_the_folder_of_the_program(report: BenchReport) -> None:
    machine = json.loads(report.to_json())["machine"]
    assert machine["command"] == "headwater bench speed"
    assert machine["cores"] >= 1
    assert abs(datetime.now(UTC) - datetime.fromisoformat(machine["date"])) < timedelta(minutes=5)
    assert machine["date"] in report.to_text()
    assert machine["versions"]["numpy"]


def test_publish_prints_the_table_and_writes_the_json(
    report: BenchReport, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report.publish(tmp_path / "new" / "speed.json")
    assert "p99_ms" in capsys.readouterr().out
    assert json.loads((tmp_path / "new" / "speed.json").read_text())["eps"] == 900


def test_cpu_model_is_read_from_cpuinfo(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nmodel name\t: Quick 9000\n")
    assert cpu_model(cpuinfo) == "Quick 9000"
    assert cpu_model(tmp_path / "absent")
