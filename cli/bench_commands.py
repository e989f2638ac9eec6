"""`headwater bench …`: every figure in docs/benchmarks, one command each."""

from pathlib import Path
from typing import Annotated

import typer

from bench.machine import Machine
from bench.telling import tell_on_stderr
from cli.context import context_of

app = typer.Typer(
    no_args_is_help=True, help="Measure: each command prints a table, and with --json writes it."
)

JsonOption = Annotated[Path | None, typer.Option("--json", help="Write the figures here, as JSON.")]


@app.command("prequential-demo")
def prequential_demo(
    context: typer.Context,
    events: Annotated[int | None, typer.Option(min=1, help="Of the shipped stream; default: all.")] = None,
    checkpoint: Annotated[int, typer.Option(min=1, help="Look at the scores every so many events.")] = 4_000,
    titles: Annotated[bool, typer.Option(help="Encode the catalogue's titles.")] = True,
    json: JsonOption = None,
) -> None:
    """Recall@20 and MRR of Headwater, its parts and the baselines over the shipped stream, test then train."""
    from bench.prequential_demo import PrequentialConfig, run_prequential

    config = PrequentialConfig(events=events, checkpoint_every=checkpoint, titles=titles)
    settings = context_of(context).settings()
    run_prequential(config, settings=settings, machine=Machine.describe(), tell=tell_on_stderr()).publish(
        json
    )


@app.command()
def rerank(
    context: typer.Context,
    candidates: Annotated[int, typer.Option(min=10, help="Of each shopper.")] = 100,
    events: Annotated[int, typer.Option(min=1, help="Of the shipped stream, learnt first.")] = 2_000,
    rounds: Annotated[int, typer.Option(min=1, help="Both sides are timed so often.")] = 30,
    json: JsonOption = None,
) -> None:
    """A hundred candidates of one shopper: our ranker beside a cross-encoder over the same titles."""
    from bench.rerank import RerankConfig, run_rerank

    config = RerankConfig(candidates=candidates, events=events, rounds=rounds)
    settings = context_of(context).settings()
    run_rerank(config, settings=settings, machine=Machine.describe(), tell=tell_on_stderr()).publish(json)


@app.command()
def recommend(
    context: typer.Context,
    batches: Annotated[str, typer.Option(help="Shoppers of a batch, sizes separated by commas.")] = "1,32",
    events: Annotated[int | None, typer.Option(min=1, help="Of the shipped stream; default: all.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Batches of each size.")] = 300,
    json: JsonOption = None,
) -> None:
    """One shopper's recommend() by stage, after the shipped stream, alone and in batches."""
    from bench.recommend import RecommendBenchConfig, run_recommend

    try:
        sizes = tuple(int(size) for size in batches.split(","))
    except ValueError as error:
        raise typer.BadParameter(f"--batches is {batches!r}; expected numbers as in 1,32") from error
    config = RecommendBenchConfig(events=events, batches=sizes, rounds=rounds)
    settings = context_of(context).settings()
    run_recommend(config, settings=settings, machine=Machine.describe(), tell=tell_on_stderr()).publish(json)
