"""How the demo looks: a live screen on a terminal, a plain line every few seconds elsewhere."""

import math
from collections.abc import Mapping, Sequence

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from demo.board import Glance, Progress

RANKERS = (
    ("headwater", "Headwater", "bold green"),
    ("personal_frequency", "personal frequency", "cyan"),
    ("recent_popularity", "recent popularity", "yellow"),
)
_BARS = "▁▂▃▄▅▆▇█"


def plain_line(glance: Glance) -> str:
    """One line for a pipe or a log."""
    line = (
        f"{glance.elapsed_s:6.0f} s  {glance.events:7,} events {glance.events_per_s:5.0f}/s  "
        f"freshness {_freshness(glance, number='{:.0f}')}"
    )
    if not glance.progress:
        return f"{line}  learning…"
    latest = glance.progress[-1]
    scores = "  ".join(
        f"{label} {latest.prequential[name]['recall@20']:.3f}/{latest.prequential[name]['mrr@20']:.3f}"
        for name, label, _ in RANKERS
    )
    return f"{line}  adapter {latest.version}  recall@20/MRR@20: {scores}"


def screen(glance: Glance, titles: Mapping[str, str], *, footer: str) -> RenderableType:
    """The live screen."""
    return Group(
        _headline(glance),
        _quality(glance.progress),
        _shopper(glance, titles),
        Text(footer, style="dim"),
    )


def sparkline(values: Sequence[float], *, low: float, high: float, width: int = 40) -> str:
    """The last `width` values as bars between `low` and `high`.

    >>> sparkline([0.0, 0.5, 1.0], low=0.0, high=1.0)
    '▁▅█'
    """
    span = max(high - low, 1e-9)
    places = (round((value - low) / span * (len(_BARS) - 1)) for value in values[-width:])
    return "".join(_BARS[max(0, min(len(_BARS) - 1, place))] for place in places)


def _freshness(glance: Glance, *, number: str) -> str:
    """Its percentiles, each as `number` formats it."""
    if math.isnan(glance.fresh_p50_ms):
        return "no slate yet"
    return f"p50 {number.format(glance.fresh_p50_ms)} p99 {number.format(glance.fresh_p99_ms)} ms"


def _headline(glance: Glance) -> RenderableType:
    version = glance.progress[-1].version if glance.progress else 0
    deep = "serves" if glance.progress and glance.progress[-1].deep_pays else "still has to prove itself"
    facts = [
        f"[bold]{glance.events:,}[/] events  [dim]{glance.events_per_s:,.0f}/s[/]",
        f"freshness {_freshness(glance, number='[bold]{:,.0f}[/]')}",
        f"adapter [bold]{version}[/]  [dim]transformer {deep}[/]",
    ]
    return Panel(
        Columns(facts, expand=True),
        title=f"Headwater · {glance.elapsed_s:,.0f} s · a real shop's purchases through Kafka",
        border_style="green",
    )


def _quality(progress: Sequence[Progress]) -> RenderableType:
    table = Table(box=None, expand=True, pad_edge=False)
    table.add_column("predicted before learnt, last 2,000 baskets")
    for heading in ("recall@20", "MRR@20"):
        table.add_column(heading, justify="right")
    table.add_column("recall over time")
    curves = {
        name: [step.prequential[name]["recall@20"] for step in progress if step.prequential[name]["units"]]
        for name, _, _ in RANKERS
    }
    high = max((value for curve in curves.values() for value in curve), default=1.0)
    for name, label, style in RANKERS:
        if not curves[name]:
            table.add_row(f"[{style}]{label}", "…", "…", "")
            continue
        scores = progress[-1].prequential[name]
        table.add_row(
            f"[{style}]{label}",
            f"[{style}]{scores['recall@20']:.3f}",
            f"[{style}]{scores['mrr@20']:.3f}",
            f"[{style}]{sparkline(curves[name], low=0.0, high=high)}",
        )
    return Panel(table, border_style="blue")


def _shopper(glance: Glance, titles: Mapping[str, str]) -> RenderableType:
    shopper = glance.shopper
    if shopper is None or shopper.slate is None:
        return Panel("waiting for a shopper who comes back", border_style="magenta")
    table = Table(box=None, expand=True, pad_edge=False)
    table.add_column("#", style="dim", width=2)
    table.add_column("recommended now", ratio=3, no_wrap=True)
    table.add_column("why", ratio=4, style="dim", no_wrap=True)
    for item in shopper.slate.items[:10]:
        title = item.item_name or titles.get(item.item_id, item.item_id)
        table.add_row(str(item.slot + 1), title.capitalize(), item.reason)
    bought = ", ".join(titles.get(item, item).capitalize() for item in reversed(shopper.bought))
    slate = shopper.slate
    made = f"{slate.fresh_ms:.0f} ms after the purchase, model {slate.model_version}, slate {shopper.slates}"
    return Panel(
        Group(Text(f"bought last: {bought}", style="italic", no_wrap=True, overflow="ellipsis"), table),
        title=f"shopper {shopper.user_id} · {made}",
        border_style="magenta",
    )
