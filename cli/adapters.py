"""`headwater adapters`: what was learnt and what serves; go back to an adapter, and make one again from the log."""

import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from cli.context import context_of
from events.clock import SystemClock
from streams import adapter_operations as operations
from streams.adapter_topic import Published

_NAME = typer.Argument(help="Of the adapter, as `headwater adapters list` shows it under `serves`.")
_PIPED_WIDTH = 200  # characters of a line that no terminal has to show

app = typer.Typer(
    no_args_is_help=True,
    help="What was learnt, and what of it serves: look, go back, make one again from the log.",
)


@app.command("list")
def list_command(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, help="The latest so many.")] = 20,
) -> None:
    """Show the latest adapters, what was decided about each, and which one serves (*)."""
    found = operations.adapters_on(context_of(context).connected().kafka)
    table = Table(box=None, pad_edge=False)
    for heading in ("", "publication", "serves", "steps", "parent", "recall@20", "mrr@20", "decision"):
        table.add_column(heading, overflow="fold", no_wrap=heading in ("serves", "parent"))
    rows = [*([found.pinned] if found.pinned else []), *reversed(found.published[-limit:])]
    for at, one in enumerate(rows):
        mark = "*" if at == 0 else ""
        metric = [f"{one.record.metric.get(name, float('nan')):.4f}" for name in ("recall@20", "mrr@20")]
        decision = "pinned" if one is found.pinned else one.decision
        table.add_row(
            mark, str(one.version), one.name, str(one.record.steps), one.record.parent, *metric, decision
        )
    width = None if sys.stdout.isatty() else _PIPED_WIDTH  # names are copied from it
    Console(width=width).print(table if rows else "no adapters yet", markup=False)


@app.command()
def show(context: typer.Context, name: Annotated[str, _NAME]) -> None:
    """Show everything that an adapter says of itself."""
    found = operations.adapters_on(context_of(context).connected().kafka)
    for key, value in described(found.named(name)).items():
        print(f"{key:<12} {value}")


@app.command()
def rollback(
    context: typer.Context,
    name: Annotated[str, _NAME],
    reason: Annotated[str, typer.Option(help="Why; it stays with the pointer.")] = "",
) -> None:
    """Let an older adapter serve, whatever is learnt meanwhile, until `headwater adapters release`."""
    kafka = context_of(context).connected().kafka
    target = operations.rollback(kafka, name=name, reason=reason, clock=SystemClock())
    print(f"{target.name} is pinned: it serves until `headwater adapters release`")


@app.command()
def release(context: typer.Context) -> None:
    """Let the newest adapter serve again."""
    serving = operations.release(context_of(context).connected().kafka)
    print("nothing was pinned" if serving is None else f"{serving.name} serves, and what is learnt next")


@app.command()
def replay(
    context: typer.Context,
    to: Annotated[str, typer.Option(help="Name of the adapter.")],
) -> None:
    """Make an adapter again from the log and compare it bit by bit; exit code 1 when it differs. Run it where the
    learner's folder (learner.snapshot_dir) is, with the learner's settings."""
    from streams.adapter_replay import replay as make_again

    settings = context_of(context).connected()
    target = operations.adapter_named(settings.kafka, to)
    with tempfile.TemporaryDirectory(prefix="headwater-replay-") as work:
        made = make_again(settings, target=target, work=Path(work))
    if not made.same_settings:
        print("it was made with other settings than these")
    print(f"{made.name} made again from {made.started_from} and {made.records} records: ", end="")
    print("bit-identical" if made.identical else "it differs")
    for difference in made.differences:
        print(f"  {difference}")
    raise typer.Exit(0 if made.identical else 1)


def described(adapter: Published) -> dict[str, str]:
    """What `show` prints."""
    record = adapter.record
    return {
        "name": record.name,
        "publication": f"{adapter.version} at offset {adapter.offset}, {adapter.nbytes:,} bytes",
        "steps": str(record.steps),
        "units": str(record.units),
        "parent": record.parent,
        "config": record.config,
        "window": ", ".join(f"{name} {value:.4f}" for name, value in record.metric.items()),
        "decision": f"{adapter.decision}: {adapter.why}",
        "candidate": adapter.candidate,
        "offsets": ", ".join(f"{topic}-{partition}@{offset}" for topic, partition, offset in record.offsets),
    }
