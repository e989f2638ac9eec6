"""The demo's report: what was sent, what came back and how soon, and how well it was predicted."""

import os
import platform

from rich.console import RenderableType
from rich.table import Table

from demo.board import Board
from demo.view import RANKERS
from load.report import ReplayReport

_FIRST_MINUTE_S = 60.0


def report_of(replay: ReplayReport | None, *, board: Board, rate: float) -> dict[str, object]:
    """Everything as plain JSON values; `replay` is None when the stream never started."""
    progress = board.progress
    latest = progress[-1].prequential if progress else {}
    minute = [step for step in progress if step.at_s <= _FIRST_MINUTE_S]
    latency = replay.latency_ms if replay else None
    return {
        "events": replay.counts.sent if replay else 0,
        "lost": replay.counts.lost if replay else 0,
        "duplicated": replay.counts.duplicate_recommendations if replay else 0,
        "recommendations": replay.counts.recommendations if replay else 0,
        "degraded": replay.counts.degraded_recommendations if replay else 0,
        "adapters_published": len(progress),
        "freshness_ms": {
            name: round(getattr(latency, name), 1) if latency else None for name in ("p50", "p90", "p99")
        },
        "prequential": {name: dict(scores) for name, scores in latest.items()},
        "prequential_at_60_s": {name: dict(scores) for name, scores in minute[-1].prequential.items()}
        if minute
        else {},
        "transformer_serves": progress[-1].deep_pays if progress else False,
        "seconds": round(replay.elapsed_s, 1) if replay else 0.0,
        "rate": rate,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "load_average": replay.load_average if replay else None,
    }


def summary(report: dict[str, object]) -> RenderableType:
    """The report as a table to read."""
    table = Table(title="Headwater demo", title_justify="left", show_header=False)
    fresh = report["freshness_ms"]
    scores = report["prequential"]
    if not isinstance(fresh, dict) or not isinstance(scores, dict):
        raise TypeError("not a report of the demo")
    table.add_row("events", f"{report['events']:,} in {report['seconds']} s")
    table.add_row("lost / duplicated", f"{report['lost']} / {report['duplicated']}")
    table.add_row("purchase to slate", " / ".join(f"{name} {value} ms" for name, value in fresh.items()))
    table.add_row("adapters published", str(report["adapters_published"]))
    for name, label, _ in RANKERS:
        if name in scores:
            own = scores[name]
            table.add_row(
                label,
                f"recall@20 {own['recall@20']:.3f}, MRR@20 {own['mrr@20']:.3f} (last {own['units']:,.0f} baskets)",
            )
    return table
