"""The options that name a stream and say what a unit of it is, for the commands that read one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from bench.telling import Tell
from load.columns import Columns, parse_renames
from load.tables import told_of_events

if TYPE_CHECKING:
    from load.prequential.prepared import StreamConfig

EVENTS_HELP = (
    "A file of events: parquet or CSV with columns ts (ms), user, item, and optionally event, qty, price, basket, "
    "session, text; or JSONL, a line for each event as in docs/schema."
)
DataOption = Annotated[
    Path,
    typer.Option(
        help="Parquet or CSV: columns ts, user, item, and optionally event, qty, price, text.",
        rich_help_panel="The stream",
    ),
]
ItemsOption = Annotated[
    Path | None,
    typer.Option(
        help="The catalogue: item, and text, price, category, first_ts (ms; unknown until it is past).",
        rich_help_panel="The stream",
    ),
]
WhereOption = Annotated[
    str,
    typer.Option(
        help="Keep these rows only, as in SQL: \"event = 'purchase' AND is_product\". Has = != < <= > >= "
        "IN, IS [NOT] NULL, AND, OR, NOT and brackets. What names only columns of --items holds there too.",
        rich_help_panel="The stream",
    ),
]
ColumnsOption = Annotated[
    str,
    typer.Option(
        help="The file's names of the columns: user=visitor_id,item=sku.", rich_help_panel="The stream"
    ),
]
TimeUnitOption = Annotated[
    Literal["s", "ms", "us", "ns"], typer.Option(help="Of integer times.", rich_help_panel="The stream")
]
ProtocolOption = Annotated[
    Literal["basket", "session", "event"],
    typer.Option(
        help="What is predicted. basket: all rows of a user at one time. session: the next row whose item "
        "is not the one before it in the session. event: each row.",
        rich_help_panel="Protocol",
    ),
]
SessionGapOption = Annotated[
    float | None,
    typer.Option(
        min=0.001,
        help="A longer pause of a user starts a new session (minutes). Without it the user column is the session.",
        rich_help_panel="Protocol",
    ),
]
LimitUnitsOption = Annotated[
    int | None, typer.Option(min=2, help="The first so many units only.", rich_help_panel="Protocol")
]


def stream_config(
    data: Path,
    *,
    items: Path | None,
    where: str,
    columns: str,
    time_unit: Literal["s", "ms", "us", "ns"],
    protocol: str,
    session_gap_min: float | None,
    limit_units: int | None = None,
) -> "StreamConfig":
    """The options together, validated."""
    from load.prequential.prepared import StreamConfig
    from load.prequential.units import ProtocolConfig

    gap_ms = None if session_gap_min is None else max(1, round(session_gap_min * 60_000))
    return StreamConfig(
        data=data,
        protocol=ProtocolConfig(protocol=protocol, session_gap_ms=gap_ms, limit_units=limit_units),
        columns=Columns(
            renames=parse_renames(columns),
            default_event="purchase" if protocol == "basket" else "view_item",
            time_unit=time_unit,
        ),
        where=where,
        items=items,
    )


def tell_of_events(data: Path, *, columns: Columns, tell: Tell) -> None:
    """Says it where the file has no event column: every row is then of one kind."""
    if (text := told_of_events(data, columns=columns)) is not None:
        tell(text)
