"""`headwater bench prequential`: is it better than the others, on your own data?"""

from pathlib import Path
from typing import Annotated

import typer

from bench.machine import Machine
from bench.telling import tell_on_stderr
from cli.context import context_of
from cli.stream_options import (
    ColumnsOption,
    DataOption,
    ItemsOption,
    LimitUnitsOption,
    ProtocolOption,
    SessionGapOption,
    TimeUnitOption,
    WhereOption,
    stream_config,
    tell_of_events,
)


def prequential(
    context: typer.Context,
    data: DataOption,
    json: Annotated[Path, typer.Option("--json", help="Write all figures here.", rich_help_panel="Output")],
    items: ItemsOption = None,
    where: WhereOption = "",
    columns: ColumnsOption = "",
    time_unit: TimeUnitOption = "ms",
    protocol: ProtocolOption = "basket",
    session_gap_min: SessionGapOption = None,
    limit_units: LimitUnitsOption = None,
    models: Annotated[
        str,
        typer.Option(
            help="Names separated by commas, or all. Default: headwater and the protocol's usual baselines. "
            "Headwater's variants: headwater-slate (diverse slates), headwater-wide (no transformer), "
            "headwater-frozen (no LoRA), headwater-full (the whole backbone learns), headwater-ungated and "
            "headwater-full-ungated (the transformer serves even where it does not pay), headwater-no-SOURCE.",
            rich_help_panel="Contenders",
        ),
    ] = "",
    seed: Annotated[int, typer.Option(min=0, help="Of all chance.", rich_help_panel="Contenders")] = 7,
    jobs: Annotated[
        int,
        typer.Option(
            min=1,
            help="Contenders at a time, a process each; above 1 the speeds disturb each other.",
            rich_help_panel="Contenders",
        ),
    ] = 1,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Take contenders that an earlier run finished over the same data, options and seed.",
            rich_help_panel="Contenders",
        ),
    ] = False,
    report: Annotated[
        Path | None,
        typer.Option(help="A folder for index.html and curves.png.", rich_help_panel="Output"),
    ] = None,
    work: Annotated[
        Path | None,
        typer.Option(
            help="The folder for what --resume takes. Default: beside --json, its name with .work.",
            rich_help_panel="Output",
        ),
    ] = None,
) -> None:
    """Test then train over a stream of your own, Headwater beside other recommenders.

    In time order, every contender is asked for 20 items before each basket or click, and learns it right after.
    Figures count after the first tenth of the stream; warm ones are of shoppers or sessions seen before. Each
    contender has a process of its own, so that its speed and its memory are its own.

    headwater bench prequential --data clicks.parquet --protocol session --session-gap-min 30 --json out.json
    """
    from bench.prequential.registry import pick_models
    from bench.prequential.run import Outputs, run_benchmark, shown_tables, today, write_report
    from load.prequential.harness import HarnessConfig
    from load.progress import watcher_for

    config = HarnessConfig(
        stream=stream_config(
            data,
            items=items,
            where=where,
            columns=columns,
            time_unit=time_unit,
            protocol=protocol,
            session_gap_min=session_gap_min,
            limit_units=limit_units,
        ),
        models=pick_models(models, protocol=protocol),
        work=work or json.with_suffix(".work"),
        seed=seed,
        jobs=jobs,
        resume=resume,
    )
    tell = tell_on_stderr()
    tell_of_events(data, columns=config.stream.columns, tell=tell)
    found = run_benchmark(
        config,
        settings=context_of(context).settings(),
        machine=Machine.describe(),
        now=today(),
        watcher=watcher_for(),
        tell=tell,
    )
    write_report(found, to=Outputs(json=json, folder=report), tell=tell)
    print(shown_tables(found))
    if found["failed"]:
        raise typer.Exit(1)
