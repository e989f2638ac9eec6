"""The command `headwater`: one typed command line for everything an operator does."""

from pathlib import Path
from typing import Annotated

import typer

from cli import adapters, bench_commands, dead_letters, load_commands, operations, tune
from cli.chaos import chaos
from cli.context import Context, fail_clearly
from cli.pretrain import pretrain
from cli.pseudonym import pseudonym

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""Headwater: a click on Kafka becomes a fresh recommendation.

    Settings come from the environment (KAFKA_BOOTSTRAP_SERVERS, REDIS_URL, HEADWATER_…) and from headwater.toml;
    headwater.toml.example lists them all. Without a broker or Redis configured, `demo` and `up` start embedded
    ones.""",
)
app.command("demo")(operations.demo)
app.command("up")(operations.up)
app.command("worker")(operations.worker)
app.command("replay")(load_commands.replay)
app.command("simulate")(load_commands.simulate)
app.command("chaos")(chaos)
app.command("tune")(tune.tune)
app.command("pretrain")(pretrain)
app.command("schema")(operations.schema)
app.command("doctor")(operations.doctor)
app.command("warm-up")(operations.warm_up)
app.command("pseudonym")(pseudonym)
app.add_typer(operations.topics, name="topics")
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(adapters.app, name="adapters")
app.add_typer(bench_commands.app, name="bench")


@app.callback()
def _settings(
    context: typer.Context,
    config: Annotated[
        Path | None,
        typer.Option(help="A TOML file of settings (default: HEADWATER_CONFIG, ./headwater.toml)."),
    ] = None,
) -> None:
    context.obj = Context(config=config)


def main() -> None:
    """Entry point: our own errors end with one readable message and code 2, not with a traceback."""
    with fail_clearly():
        app()


if __name__ == "__main__":
    main()
