"""The whole benchmark: prepare, encode the catalogue, run everyone, compare, write down."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table as RichTable

from bench.machine import Machine
from bench.prequential.registry import FactoryBook, reads_catalogue
from bench.telling import Tell, silent
from load.prequential.curves import NoPlots, draw_curves
from load.prequential.harness import HarnessConfig, compare, ready_stream, run_all
from load.prequential.page import page_of
from load.prequential.prepared import catalogue_of
from load.prequential.tables import Table, tables_of
from load.progress import Silent, Watcher
from streams.settings import Settings

CURVES_FILE, PAGE_FILE, JSON_FILE = "curves.png", "index.html", "report.json"


@dataclass(frozen=True, slots=True)
class Outputs:
    """Where the report goes: a JSON file, and a folder for page, picture and the same JSON."""

    json: Path
    folder: Path | None = None


def run_benchmark(
    config: HarnessConfig,
    *,
    settings: Settings,
    machine: Machine,
    now: datetime,
    watcher: Watcher | None = None,
    tell: Tell = silent,
) -> dict[str, Any]:
    """The report as plain values. `now` is the date that it bears; `machine` what it ran on."""
    prepared = ready_stream(config)
    left_out = ", ".join(f"{count:,} {reason}" for reason, count in prepared.left_out.items())
    tell(
        f"{len(prepared.units):,} units, {prepared.info.n_items:,} items (left out: {left_out or 'nothing'})"
    )
    encoder = settings.learner.encoder.replace("/", "-")
    vectors = config.folder / f"vectors-{encoder}.npz"
    if config.stream.items is not None and any(reads_catalogue(name) for name in config.models):
        from bench.prequential.catalogue import encode_catalogue

        encode_catalogue(catalogue_of(config.stream, folder=config.folder), settings=settings, path=vectors)
    runs, failed = run_all(config, factory_of=FactoryBook(settings, vectors), watcher=watcher or Silent())
    report = compare(config, prepared=prepared, runs=runs, failed=failed)
    header = {
        "date": now.astimezone(UTC).isoformat(timespec="seconds"),
        "command": machine.command,
        "machine": machine.line(),
        "load_average": list(machine.load_average),
        "versions": machine.versions,
    }
    return {"kind": "bench prequential", "header": header, **report}


def write_report(report: dict[str, Any], *, to: Outputs, tell: Tell = silent) -> None:
    """Writes the JSON and, with a folder, page and picture; without matplotlib the page has no picture."""
    text = json.dumps(report, indent=1, allow_nan=False) + "\n"
    to.json.parent.mkdir(parents=True, exist_ok=True)
    to.json.write_text(text)
    if to.folder is None:
        return
    to.folder.mkdir(parents=True, exist_ok=True)
    curves = None
    try:
        curves = draw_curves(report)
        (to.folder / CURVES_FILE).write_bytes(curves)
    except NoPlots as error:
        tell(str(error))
    (to.folder / PAGE_FILE).write_text(page_of(report, curves=curves))
    (to.folder / JSON_FILE).write_text(text)


def shown_tables(report: dict[str, Any], *, width: int | None = None) -> str:
    """The tables that matter most, to read on a terminal."""
    console = Console(width=width or 150, no_color=True, force_terminal=False)
    wanted = ("Warm units, with", "Beyond", "Costs")
    with console.capture() as captured:
        for table in tables_of(report):
            if table.title.startswith(wanted) or "less each" in table.title:
                console.print(_rich(table))
        for name, reason in report["failed"].items():
            console.print(f"{name} did not finish: {reason}")
    return captured.get()


def _rich(table: Table) -> RichTable:
    made = RichTable(title=table.title, title_justify="left")
    for at, name in enumerate(table.header):
        made.add_column(name, justify="right" if at else "left")
    for row in table.rows:
        made.add_row(*row)
    return made


def today() -> datetime:
    """The date of a report made now."""
    return datetime.now(UTC)
