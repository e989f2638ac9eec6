"""`headwater replay` and `headwater simulate`: traffic for a running system, measured."""

from pathlib import Path
from typing import Annotated

import typer

from bench.telling import tell_on_stderr
from cli.context import context_of
from cli.stream_options import EVENTS_HELP, ColumnsOption, TimeUnitOption, tell_of_events
from load.columns import Columns, parse_renames
from load.faults import Faults
from load.progress import watcher_for
from load.replay import run_replay
from load.replay_config import ReplayConfig
from load.simulate import SimulationConfig, run_simulation

JsonOption = Annotated[Path | None, typer.Option("--json", help="Write the report here, as JSON.")]


def replay(
    context: typer.Context,
    data: Annotated[Path, typer.Argument(help=EVENTS_HELP, exists=True)],
    items: Annotated[
        Path | None,
        typer.Option(help="Its catalogue file.", exists=True, rich_help_panel="The stream"),
    ] = None,
    columns: ColumnsOption = "",
    time_unit: TimeUnitOption = "ms",
    rate: Annotated[float | None, typer.Option(min=0.001, help="Events a second; neither: flat out.")] = None,
    speed: Annotated[float | None, typer.Option(min=0.001, help="Times faster than it happened.")] = None,
    duration: Annotated[float | None, typer.Option(min=0, help="Stop after so many seconds.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Stop after so many events.")] = None,
    skip: Annotated[int, typer.Option(min=0, help="Leave out the first so many events.")] = 0,
    envelope: Annotated[int, typer.Option(min=1, help="Events a record.")] = 1,
    duplicates: Annotated[float, typer.Option(min=0, max=1, help="Share sent twice.")] = 0.0,
    disorder: Annotated[float, typer.Option(min=0, max=1, help="Share sent late.")] = 0.0,
    poison: Annotated[float, typer.Option(min=0, max=1, help="Share followed by a broken copy.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Of the chance behind the shares.")] = 0,
    rebase_time: Annotated[bool, typer.Option(help="occurred_at becomes the time of sending.")] = False,
    id_prefix: Annotated[str, typer.Option(help="Before each event id, for a second replay.")] = "",
    warmup: Annotated[float, typer.Option(min=0, help="Seconds left out of the percentiles.")] = 0.0,
    json: JsonOption = None,
) -> None:
    """Replay a stream into Kafka and measure every event's way to its recommendation, from the time it was due."""
    settings = context_of(context).connected()
    kafka = settings.kafka
    meanings = Columns(renames=parse_renames(columns), time_unit=time_unit)
    tell_of_events(data, columns=meanings, tell=tell_on_stderr())
    report = run_replay(
        ReplayConfig(
            path=data,
            items=items,
            columns=meanings,
            rate=rate,
            speed=speed,
            duration_s=duration,
            limit=limit,
            skip=skip,
            envelope=envelope,
            faults=Faults(duplicates=duplicates, disorder=disorder, poison=poison),
            seed=seed,
            rebase_time=rebase_time,
            id_prefix=id_prefix,
            warmup_s=warmup,
            topic_prefix=kafka.topic_prefix,
            pseudonyms=settings.privacy.pseudonyms(),
        ),
        bootstrap=kafka.bootstrap_servers,
        kafka=kafka.kafka_python(),
        progress=watcher_for(),
    )
    print(report.to_text())
    if json is not None:
        json.write_text(report.to_json())


def simulate(
    context: typer.Context,
    shoppers: Annotated[int, typer.Option(min=1)] = 200,
    items: Annotated[int, typer.Option(min=1, help="Of the invented catalogue.")] = 1_000,
    rate: Annotated[
        float, typer.Option(min=0.1, help="Page views a second, of all shoppers together.")
    ] = 20.0,
    duration: Annotated[float, typer.Option(min=1, help="Seconds.")] = 60.0,
    organic: Annotated[float, typer.Option(min=0, max=1, help="Share of views by taste alone.")] = 0.3,
    taste_swap_at: Annotated[
        float | None, typer.Option(min=0, help="Second at which all tastes change.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of catalogue, shoppers and tastes.")] = 0,
    json: JsonOption = None,
) -> None:
    """Shoppers with planted tastes who click on what they are shown, so that the loop closes."""
    settings = context_of(context).connected()
    kafka = settings.kafka
    report = run_simulation(
        SimulationConfig(
            items=items,
            shoppers=shoppers,
            seed=seed,
            views_per_s=rate,
            duration_s=duration,
            organic=organic,
            taste_swap_at_s=taste_swap_at,
            topic_prefix=kafka.topic_prefix,
            pseudonyms=settings.privacy.pseudonyms(),
        ),
        bootstrap=kafka.bootstrap_servers,
        kafka=kafka.kafka_python(),
        progress=watcher_for(),
    )
    print(report.to_text())
    if json is not None:
        json.write_text(report.to_json())
