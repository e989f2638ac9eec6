"""`headwater tune`: settings that suit your stream, searched on its beginning only."""

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
    ProtocolOption,
    SessionGapOption,
    TimeUnitOption,
    WhereOption,
    stream_config,
    tell_of_events,
)


def tune(
    context: typer.Context,
    data: DataOption,
    json: Annotated[
        Path, typer.Option("--json", help="Write every trial and figure here.", rich_help_panel="Output")
    ],
    items: ItemsOption = None,
    where: WhereOption = "",
    columns: ColumnsOption = "",
    time_unit: TimeUnitOption = "ms",
    protocol: ProtocolOption = "basket",
    session_gap_min: SessionGapOption = None,
    share: Annotated[
        float,
        typer.Option(help="Of the stream, from its start: all that is tuned on.", rich_help_panel="Search"),
    ] = 0.2,
    allow_more: Annotated[
        bool,
        typer.Option(
            "--allow-more",
            help="Allow a --share above 0.2: for streams whose figures you never report.",
            rich_help_panel="Search",
        ),
    ] = False,
    model: Annotated[
        str,
        typer.Option(
            help="What is tuned: a variant of `headwater bench prequential`. Without the transformer a trial "
            "takes a fraction of the time.",
            rich_help_panel="Search",
        ),
    ] = "headwater-wide",
    metric: Annotated[
        str,
        typer.Option(
            help="The mean over warm units that is maximised: recall, ndcg, mrr or hitrate at 5, 10 or 20.",
            rich_help_panel="Search",
        ),
    ] = "ndcg@20",
    trials: Annotated[
        int, typer.Option(min=1, help="In all, those of the journal included.", rich_help_panel="Search")
    ] = 40,
    minutes: Annotated[
        float | None,
        typer.Option(min=0.0, help="Begin no trial after so long.", rich_help_panel="Search"),
    ] = None,
    confirm: Annotated[
        int,
        typer.Option(
            min=0,
            help="Seeds on which the best and the present settings are compared once more.",
            rich_help_panel="Search",
        ),
    ] = 2,
    seed: Annotated[int, typer.Option(min=0, help="Of all chance.", rich_help_panel="Search")] = 7,
    journal: Annotated[
        Path | None,
        typer.Option(
            help="Every trial as it goes, JSON lines: the same command goes on from there. Default: beside --json, "
            "its name with .journal.",
            rich_help_panel="Output",
        ),
    ] = None,
    work: Annotated[
        Path | None,
        typer.Option(
            help="The folder for the prepared stream. Default: beside --json, its name with .work.",
            rich_help_panel="Output",
        ),
    ] = None,
) -> None:
    """Search settings on the first 20 % of one stream, and print the best as lines for headwater.toml.

    Each trial is one run, test then train, over that beginning; one whose score falls below the median of the trials
    before it at the same place is stopped. Trial 0 is the settings as they are, so that you see what is gained. The
    best of many trials is partly luck: at the end both are compared again on other seeds. Tune on one stream, then
    measure on others with `headwater bench prequential`; the part tuned on is no place to report figures from.

    headwater tune --data clicks.parquet --protocol session --session-gap-min 30 --trials 30 --json tuned.json
    """
    from json import dumps

    from bench.tuning.page import page_of
    from bench.tuning.run import TuneConfig
    from bench.tuning.run import tune as run_search
    from load.progress import watcher_for

    config = TuneConfig(
        stream=stream_config(
            data,
            items=items,
            where=where,
            columns=columns,
            time_unit=time_unit,
            protocol=protocol,
            session_gap_min=session_gap_min,
        ),
        work=work or json.with_suffix(".work"),
        journal=journal or json.with_suffix(".journal"),
        model=model,
        share=share,
        allow_more=allow_more,
        metric=metric,
        trials=trials,
        minutes=minutes,
        confirm=confirm,
        seed=seed,
    )
    tell = tell_on_stderr()
    tell_of_events(data, columns=config.stream.columns, tell=tell)
    found = run_search(
        config,
        settings=context_of(context).settings(),
        machine=Machine.describe(),
        watcher=watcher_for(),
        tell=tell,
    )
    json.parent.mkdir(parents=True, exist_ok=True)
    json.write_text(dumps(found, indent=1, allow_nan=False) + "\n")
    print(page_of(found))
