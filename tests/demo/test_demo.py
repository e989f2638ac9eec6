"""The demo, as a newcomer without a terminal runs it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.e2e
def test_demo_ends_by_itself_and_reports_that_it_learnt(tmp_path: Path) -> None:
    report_file = tmp_path / "report.json"
    command = [sys.executable, "-m", "cli.main", "demo", "--duration", "20", "--report", str(report_file)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "recall@20/MRR@20: Headwater" in ended.stdout  # plain lines, since nobody sits at a terminal
    report = json.loads(report_file.read_text())
    assert report["events"] == 2_000
    assert (report["lost"], report["duplicated"]) == (0, 0)
    assert report["adapters_published"] >= 1
    assert set(report["freshness_ms"]) == {"p50", "p90", "p99"}
    scores = report["prequential"]
    assert scores["headwater"]["units"] > 50
    assert scores["headwater"]["recall@20"] > 1.3 * scores["recent_popularity"]["recall@20"]
    assert scores["headwater"]["mrr@20"] > scores["personal_frequency"]["mrr@20"]
