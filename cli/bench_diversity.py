"""`headwater bench diversity`: what long tail, variety and new items cost, on your own data."""

import json as as_json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from bench.machine import Machine
from bench.telling import tell_on_stderr
from cli.context import context_of
from cli.stream_options import tell_of_events
from load.columns import Columns, parse_renames


def diversity(
    context: typer.Context,
    data: Annotated[Path, typer.Option(help="Parquet or CSV, as for bench prequential.")],
    json: Annotated[
        Path, typer.Option("--json", help="Figures by stream; a file that is there keeps its other streams.")
    ],
    items: Annotated[Path | None, typer.Option(help="The catalogue, as for bench prequential.")] = None,
    where: Annotated[str, typer.Option(help="Keep these rows only, as in SQL.")] = "",
    columns: Annotated[str, typer.Option(help="The file's names of the columns: user=visitor_id.")] = "",
    time_unit: Annotated[Literal["s", "ms", "us", "ns"], typer.Option(help="Of integer times.")] = "ms",
    protocol: Annotated[
        Literal["basket", "session", "event"], typer.Option(help="What is predicted.")
    ] = "basket",
    session_gap_min: Annotated[
        float | None, typer.Option(min=0.001, help="A longer pause starts a new session (minutes).")
    ] = None,
    limit_units: Annotated[int | None, typer.Option(min=2, help="The first so many units only.")] = None,
    deep: Annotated[bool, typer.Option("--deep", help="With the transformer; takes long.")] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of all chance.")] = 7,
    work: Annotated[Path | None, typer.Option(help="A folder for the prepared stream.")] = None,
) -> None:
    """Recall, long-tail exposure, category entropy and young items found, at many strengths of diversity.

    One pass over the stream, test then train; every strength makes its slates from the same scores. Writes the
    JSON and, beside it, the curves as a PNG.
    """
    from bench.diversity import run_diversity
    from bench.diversity_picture import draw_diversity
    from bench.prequential.catalogue import encode_catalogue, read_vectors
    from load.prequential.curves import NoPlots
    from load.prequential.harness import HarnessConfig, ready_stream
    from load.prequential.prepared import StreamConfig, catalogue_of
    from load.prequential.units import ProtocolConfig

    gap_ms = None if session_gap_min is None else max(1, round(session_gap_min * 60_000))
    units = ProtocolConfig(protocol=protocol, session_gap_ms=gap_ms, limit_units=limit_units)
    stream = StreamConfig(
        data=data,
        protocol=units,
        columns=Columns(
            renames=parse_renames(columns),
            default_event="purchase" if protocol == "basket" else "view_item",
            time_unit=time_unit,
        ),
        where=where,
        items=items,
    )
    settings = context_of(context).settings()
    config = HarnessConfig(
        stream=stream, models=("headwater-slate",), work=work or json.with_suffix(".work"), seed=seed
    )
    tell = tell_on_stderr()
    tell_of_events(data, columns=stream.columns, tell=tell)
    prepared = ready_stream(config)
    vectors = config.folder / f"vectors-{settings.learner.encoder.replace('/', '-')}.npz"
    encode_catalogue(catalogue_of(stream, folder=config.folder), settings=settings, path=vectors)
    found = run_diversity(
        prepared,
        protocol=units,
        settings=settings,
        vectors=read_vectors(vectors),
        deep=deep,
        seed=seed,
        tell=tell,
    )
    machine = Machine.describe()
    head = {"command": machine.command, "machine": machine.line(), "units": len(prepared.units), "deep": deep}
    streams: dict[str, Any] = as_json.loads(json.read_text())["streams"] if json.is_file() else {}
    streams[data.stem] = head | found
    json.parent.mkdir(parents=True, exist_ok=True)
    json.write_text(as_json.dumps({"kind": "bench diversity", "streams": streams}, indent=1) + "\n")
    try:
        json.with_suffix(".png").write_bytes(draw_diversity(streams))
    except NoPlots as error:
        tell(str(error))
    print(_table(found))


def _table(found: dict[str, Any]) -> str:
    header = (
        f"{'strength':16} {'recall@20':>9} {'loss':>7} {'tail':>6} {'times':>6} {'entropy':>8} {'young':>7}"
    )
    lines = [header]
    nan = float("nan")  # of what there is nothing to compare with
    for name, point in found["points"].items():
        lines.append(
            f"{name:16} {point['recall@20']:9.4f} {100 * point.get('recall_loss', nan):6.2f}% "
            f"{point['tail_exposure']:6.3f} {point.get('tail_times', nan):5.2f}x "
            f"{point.get('entropy_times', nan):7.3f}x {point.get('young', nan):7.4f}"
        )
    return "\n".join(lines)
