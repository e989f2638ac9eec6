"""`headwater bench training-step` and `index`: what depends on the device, CPU or GPU."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from bench.machine import Machine
from bench.telling import tell_on_stderr
from cli.context import context_of

JsonOption = Annotated[Path | None, typer.Option("--json", help="Write the figures here, as JSON.")]


def sizes_of(text: str, *, option: str) -> tuple[int, ...]:
    """Numbers separated by commas; BadParameter where there is anything else.

    >>> sizes_of("1,32", option="--batches")
    (1, 32)
    """
    try:
        return tuple(int(size) for size in text.split(","))
    except ValueError as error:
        raise typer.BadParameter(f"{option} is {text!r}; expected numbers as in 1,32") from error


def training_step(
    context: typer.Context,
    layers: Annotated[str, typer.Option(help="Of the encoder, numbers separated by commas.")] = "2,6",
    units: Annotated[str, typer.Option(help="Of one step, numbers separated by commas.")] = "8,64,256",
    events: Annotated[int, typer.Option(min=1, help="Of the shipped stream, learnt first.")] = 2_000,
    rounds: Annotated[int, typer.Option(min=1, help="Steps of each kind.")] = 30,
    json: JsonOption = None,
) -> None:
    """One step of the transformer by layers and units, and its share of the device's measured peak.

    The device is learner.device: HEADWATER_LEARNER_DEVICE=cpu or cuda.
    """
    from bench.training_step import TrainingStepConfig, run_training_step

    config = TrainingStepConfig(
        layers=sizes_of(layers, option="--layers"),
        units=sizes_of(units, option="--units"),
        events=events,
        rounds=rounds,
    )
    settings = context_of(context).settings()
    run_training_step(config, settings=settings, machine=Machine.describe(), tell=tell_on_stderr()).publish(
        json
    )


def index(
    items: Annotated[int, typer.Option(min=1, help="Vectors in the index.")] = 200_000,
    dim: Annotated[int, typer.Option(min=1, help="Of a vector.")] = 384,
    device: Annotated[
        Literal["auto", "cpu", "gpu"], typer.Option(help="Where it is built and searched.")
    ] = "auto",
    queries: Annotated[str, typer.Option(help="In one search, numbers separated by commas.")] = "1,32",
    rounds: Annotated[int, typer.Option(min=1, help="Searches of each size.")] = 200,
    threads: Annotated[int, typer.Option(min=1, help="Of FAISS in a search on the CPU.")] = 1,
    json: JsonOption = None,
) -> None:
    """The item index of a large catalogue: build, search, recall. Ten million vectors take some 60 GB of memory."""
    from bench.index_search import IndexSearchConfig, run_index_search

    config = IndexSearchConfig(
        items=items,
        dim=dim,
        device=device,
        queries=sizes_of(queries, option="--queries"),
        rounds=rounds,
        threads=threads,
    )
    run_index_search(config, machine=Machine.describe(), tell=tell_on_stderr()).publish(json)
