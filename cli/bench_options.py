"""`headwater bench options`: what each option of the transformer brings, and costs."""

from pathlib import Path
from typing import Annotated

import typer

from bench.machine import Machine
from bench.telling import tell_on_stderr
from cli.context import context_of


def options(
    context: typer.Context,
    only: Annotated[str, typer.Option(help="Names, separated by commas; default: all.")] = "",
    events: Annotated[
        int, typer.Option(min=100, help="Of the shipped stream; the second half counts.")
    ] = 8_000,
    deep_every: Annotated[int, typer.Option(min=1, help="Batches to a step of the transformer.")] = 1,
    deep_units: Annotated[int, typer.Option(min=1, help="Units of its step.")] = 16,
    pretrain_steps: Annotated[int, typer.Option(min=1, help="Of `pretrained`.")] = 150,
    json: Annotated[Path | None, typer.Option("--json", help="Write the figures here, as JSON.")] = None,
) -> None:
    """One learner for each option over the same part of the shipped stream, test then train."""
    from bench.options import OptionsConfig, run_options

    config = OptionsConfig(
        events=events, only=only, deep_every=deep_every, deep_units=deep_units, pretrain_steps=pretrain_steps
    )
    settings = context_of(context).settings()
    run_options(config, settings=settings, machine=Machine.describe(), tell=tell_on_stderr()).publish(json)
