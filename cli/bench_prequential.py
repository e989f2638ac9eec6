"""`headwater bench prequential`: is it better than the others, on your own data?"""

from pathlib import Path
from typing import Annotated, Literal

import typer

from bench.machine import Machine
from bench.telling import tell_on_stderr
from cli.context import context_of
from load.columns import Columns, parse_renames


def prequential(
    context: typer.Context,
    data: Annotated[
        Path,
        typer.Option(
            help="Parquet or CSV: columns ts, user, item, and optionally event, qty, price, text.",
            rich_help_panel="The stream",
        ),
    ],
    json: Annotated[Path, typer.Option("--json", help="Write all figures here.", rich_help_panel="Output")],
    items: Annotated[
        Path | None,
        typer.Option(
            help="The catalogue: item, and text, price, category, first_ts (ms; unknown until it is past).",
            rich_help_panel="The stream",
        ),
    ] = None,
    where: Annotated[
        str,
        typer.Option(
            help="Keep these rows only, as in SQL: \"event = 'purchase' AND is_product\". Has = != < <= > >= "
            "IN, IS [NOT] NULL, AND, OR, NOT and brackets. What names only columns of --items holds there too.",
            rich_help_panel="The stream",
        ),
    ] = "",
    columns: Annotated[
        str,
        typer.Option(
            help="The file's names of the columns: user=visitor_id,item=sku.", rich_help_panel="The stream"
        ),
    ] = "",
    time_unit: Annotated[
        Literal["s", "ms", "us", "ns"], typer.Option(help="Of integer times.", rich_help_panel="The stream")
    ] = "ms",
    protocol: Annotated[
        Literal["basket", "session", "event"],
        typer.Option(
            help="What is predicted. basket: all rows of a user at one time. session: the next row whose item "
            "is not the one before it in the session. event: each row.",
            rich_help_panel="Protocol",
        ),
    ] = "basket",
    session_gap_min: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            help="A longer pause of a user starts a new session (minutes). Without it the user column is the "
            "session.",
            rich_help_panel="Protocol",
        ),
    ] = None,
    limit_units: Annotated[
        int | None, typer.Option(min=2, help="The first so many units only.", rich_help_panel="Protocol")
    ] = None,
    models: Annotated[
        str,
        typer.Option(
            help="Names separated by commas, or all. Default: headwater and the protocol's usual baselines. "
            "Headwater's variants: headwater-slate (diverse slates), headwater-wide (no transformer), "
            "headwater-frozen (no LoRA), headwater-no-SOURCE.",
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
    from load.prequential.prepared import StreamConfig
    from load.prequential.units import ProtocolConfig
    from load.progress import watcher_for

    gap_ms = None if session_gap_min is None else max(1, round(session_gap_min * 60_000))
    config = HarnessConfig(
        stream=StreamConfig(
            data=data,
            protocol=ProtocolConfig(protocol=protocol, session_gap_ms=gap_ms, limit_units=limit_units),
            columns=Columns(
                renames=parse_renames(columns),
                default_event="purchase" if protocol == "basket" else "view_item",
                time_unit=time_unit,
            ),
            where=where,
            items=items,
        ),
        models=pick_models(models, protocol=protocol),
        work=work or json.with_suffix(".work"),
        seed=seed,
        jobs=jobs,
        resume=resume,
    )
    tell = tell_on_stderr()
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
