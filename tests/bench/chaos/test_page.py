"""What a run tells: its report, the page of many reports, and the command's help."""

import json
from dataclasses import replace
from pathlib import Path

from typer.testing import CliRunner

from bench.chaos.config import ChaosConfig
from bench.chaos.page import main
from bench.chaos.run import ChaosOutcome
from bench.chaos.striking import Struck
from bench.machine import Machine
from cli.main import app
from load.chaos.findings import Finding, Place, Verdict, Wrong
from load.chaos.schedule import FaultKind

CHECKED = {"events": 1200, "slates": 900, "adapters": 40, "snapshots": 3}


def struck(number: int, kind: FaultKind, recovery_s: float | None) -> Struck:
    return Struck(
        number=number,
        kind=kind,
        name=kind.role,
        at_s=float(number),
        burst=0,
        recovery_s=recovery_s,
        again_s=None,
        ready_s=None,
    )


def outcome(*times: float | None, findings: tuple[Finding, ...] = ()) -> ChaosOutcome:
    faults = tuple(struck(number, FaultKind.LEARNER, time) for number, time in enumerate(times))
    return ChaosOutcome(ChaosConfig(kills=len(faults)), faults, Verdict(findings, CHECKED), {}, 60.0)


def test_report_has_the_numbers_and_recovery_by_fault_at_its_top() -> None:
    lost = Finding(Wrong.LOST, Place("clicks", 1, 7), "nobody answered", count=2)
    written = (
        outcome(3.0, 9.0, None, 4.0, findings=(lost,))
        .report(Machine.describe(["headwater", "chaos"]))
        .as_dict()
    )
    assert (written["kills"], written["lost"], written["duplicated"], written["diverged"]) == (4, 2, 0, 0)
    assert written["recovery_s"] == {"kill -9 learner": {"n": 3, "p50": 4.0, "max": 9.0}}
    assert written["details"]["first_finding"].startswith("lost clicks-1@7: nobody answered")
    assert written["machine"]["versions"]["numpy"]


def test_run_is_not_clean_where_a_process_did_not_come_back() -> None:
    assert outcome(3.0).clean
    assert not replace(outcome(3.0), stopped="learner was not started again").clean


def test_page_adds_runs_up_and_names_each_command(tmp_path: Path) -> None:
    machine = Machine.describe(["headwater", "chaos", "--seed", "1"])
    for name, made in {"a": outcome(3.0, None), "b": outcome(5.0, 7.0)}.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(made.report(machine).as_dict()))
    main(tmp_path, "2026-11-26")
    page = (tmp_path / "README.md").read_text()
    assert "**4 faults in 2 runs: lost / duplicated / diverged = 0 / 0 / 0.** 2026-11-26" in page
    assert "| kill -9 learner | embedded (tansu) | small | fork | 4 | 3 | 5.0 | 7.0 |" in page
    assert page.count("    headwater chaos --seed 1") == 2


def test_help_says_what_is_killed_what_is_compared_and_how_it_ends() -> None:
    told = CliRunner().invoke(app, ["chaos", "--help"], env={"COLUMNS": "200"}).output
    for word in (
        "--kills",
        "--seed",
        "--broker",
        "--json",
        "SIGKILL",
        "lost / duplicated / diverged",
        "code 1",
    ):
        assert word in told
