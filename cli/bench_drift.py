"""`headwater bench drift`: how soon it recovers when shoppers change their minds."""

from pathlib import Path
from typing import Annotated

import typer

from bench.machine import Machine
from bench.telling import tell_on_stderr
from cli.context import context_of


def drift(
    context: typer.Context,
    shoppers: Annotated[int, typer.Option(min=2, help="Half of them change their tastes.")] = 40,
    items: Annotated[int, typer.Option(min=20, help="In the catalogue.")] = 1_000,
    before: Annotated[int, typer.Option(min=1_000, help="Events before the tastes change.")] = 6_000,
    after: Annotated[int, typer.Option(min=2_000, help="Events after it.")] = 4_000,
    seed: Annotated[int, typer.Option(min=0, help="Of the shop and all chance.")] = 1,
    seeds: Annotated[
        str, typer.Option(help="Several, separated by commas: the figures are means over their shops.")
    ] = "",
    contenders: Annotated[str, typer.Option(help="Names separated by commas; default: all.")] = "",
    json: Annotated[Path | None, typer.Option("--json", help="Write the figures here, as JSON.")] = None,
    png: Annotated[
        Path | None, typer.Option("--png", help="Draw the curves here (needs matplotlib).")
    ] = None,
) -> None:
    """The tastes of half the simulated shoppers move to other categories mid-stream; the others stay.

    Every contender meets the same shop in process: the whole system, with the shoppers' whole memory or without
    the drift detector, with models or everything frozen at the swap, the wide part alone, a frozen adapter, twin
    adapters, and the whole system without a swap.
    """
    from bench.drift import CONTENDERS, DriftBenchConfig, run_drift
    from bench.drift_curve import draw_drift

    names = tuple(name.strip() for name in contenders.split(",") if name.strip()) or tuple(CONTENDERS)
    unknown = [name for name in names if name not in CONTENDERS]
    if unknown:
        raise typer.BadParameter(f"--contenders: nothing is called {unknown[0]!r}; {', '.join(CONTENDERS)}")
    try:
        several = tuple(int(one) for one in seeds.split(",") if one.strip()) or (seed,)
    except ValueError as error:
        raise typer.BadParameter(f"--seeds is {seeds!r}; expected whole numbers with commas") from error
    config = DriftBenchConfig(
        items=items, shoppers=shoppers, seeds=several, before=before, after=after, contenders=names
    )
    settings = context_of(context).settings()
    report = run_drift(config, settings=settings, machine=Machine.describe(), tell=tell_on_stderr())
    report.publish(json)
    if png is not None:
        png.parent.mkdir(parents=True, exist_ok=True)
        draw_drift(report.details["curves"], swap_at=before, to=png)
