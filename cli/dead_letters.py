"""`headwater dead-letters`: look at what was set aside, and send it again."""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from cli.context import context_of
from events.errors import Reason
from streams.dead_letters import list_letters
from streams.dead_letters import redrive as send_again

app = typer.Typer(
    no_args_is_help=True, help="What could not be used: look at it, and send it again once mended."
)

ReasonOption = Annotated[Reason | None, typer.Option(help="Only letters with this reason.")]


@app.command("list")
def list_command(
    context: typer.Context,
    limit: Annotated[int, typer.Option(min=1, help="The latest so many.")] = 20,
    reason: ReasonOption = None,
) -> None:
    """Show the latest letters: why, from where, and how each begins."""
    letters = list_letters(context_of(context).connected().kafka, limit=limit, reason=reason and reason.value)
    table = Table(box=None, pad_edge=False)
    for heading in ("offset", "from", "why", "begins with", "redriven"):
        table.add_column(heading, overflow="fold")
    for letter in letters:
        table.add_row(
            str(letter.offset),
            f"{letter.source_topic}-{letter.source_partition}@{letter.source_offset}",
            letter.detail,
            repr((letter.value or b"")[:60]),
            "yes" if letter.redriven else "",
        )
    Console().print(table if letters else "no dead letters", markup=False)


@app.command()
def redrive(
    context: typer.Context,
    reason: ReasonOption = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many, oldest first.")] = None,
    again: Annotated[bool, typer.Option(help="Also those that were redriven before.")] = False,
    dry_run: Annotated[bool, typer.Option(help="Only say what would be sent.")] = False,
) -> None:
    """Send the original bytes to the topic and partition they came from, each once."""
    report = send_again(
        context_of(context).connected().kafka,
        reason=reason and reason.value,
        limit=limit,
        again=again,
        dry_run=dry_run,
    )
    print(
        f"{'would send' if dry_run else 'sent'} {len(report.sent)} records; "
        f"{report.already_redriven} letters were redriven before, {report.repeated} repeat another"
        + (f"; {report.cut} were cut to fit and cannot be sent" if report.cut else "")
    )
