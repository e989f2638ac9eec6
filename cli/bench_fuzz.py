"""`headwater bench fuzz`: bad input through the real workers, every record accounted for."""

from pathlib import Path
from typing import Annotated

import typer

from bench.machine import Machine
from bench.telling import tell_on_stderr
from cli.context import context_of


def fuzz(
    context: typer.Context,
    records: Annotated[int, typer.Option(min=1, help="Good and bad ones, about a third good.")] = 20_000,
    seed: Annotated[int, typer.Option(min=0, help="Of the records.")] = 1,
    json: Annotated[Path | None, typer.Option("--json", help="Write the figures here, as JSON.")] = None,
) -> None:
    """Valid, mutated and hostile records through recommender, learner and encoder on the embedded broker.

    A plain reader then finds every bad one in dead letters with its reason and bytes, and every good one in the
    users' states; exit status 1 where it does not.
    """
    from bench.fuzz import FuzzConfig, run_fuzz

    config = FuzzConfig(records=records, seed=seed)
    settings = context_of(context).settings()
    report = run_fuzz(config, settings=settings, machine=Machine.describe(), tell=tell_on_stderr())
    report.publish(json)
    if report.figures["problems"] or report.figures["crashes"]:
        raise typer.Exit(1)
