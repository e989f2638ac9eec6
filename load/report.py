"""What a replay found out, as JSON and as a table."""

from dataclasses import asdict, dataclass
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from load.latency import Percentiles, Second
from load.ledger import Counts


@dataclass(frozen=True, slots=True)
class ReplayReport:
    """One run of replay.

    Latencies, in ms, run from an event's intended send time to the arrival of the first recommendation that
    has seen it; those due in the first `warmup_s` are left out of `latency_ms`, of nothing else.
    `send_delay_ms` is how far behind its own plan the sender was, and `cpu_share` the CPU seconds a second
    that the replay itself used: where either is high, the latencies say as much about the replay as about the
    system. `load_average` is the machine's, of the last minute.
    """

    stream: str
    pace: str
    counts: Counts
    skipped_rows: dict[str, int]
    elapsed_s: float
    sent_per_s: float
    warmup_s: float
    latency_ms: Percentiles
    send_delay_ms: Percentiles
    cpu_share: float
    load_average: float
    interrupted: bool
    timeline: list[Second]

    def as_dict(self) -> dict[str, Any]:
        """Everything, as plain values."""
        return {"kind": "replay", **asdict(self)}

    def to_json(self) -> str:
        """The report as indented JSON."""
        return msgspec.json.format(msgspec.json.encode(self.as_dict()), indent=2).decode()

    def to_text(self, *, width: int = 100) -> str:
        """The report as a table to read."""
        counts, latency, delay = self.counts, self.latency_ms, self.send_delay_ms
        rows = [
            ("stream", self.stream),
            ("pace", self.pace),
            ("sent", f"{counts.sent:,} events in {self.elapsed_s:.1f} s: {self.sent_per_s:,.1f}/s"),
            ("delivered", f"{counts.delivered:,} ({counts.undelivered:,} refused)"),
            ("awaited / answered / lost", f"{counts.awaited:,} / {counts.answered:,} / {counts.lost:,}"),
            (
                "latency p50 / p90 / p99 / max",
                f"{latency.p50:,.1f} / {latency.p90:,.1f} / {latency.p99:,.1f} / {latency.max:,.1f} ms",
            ),
            (
                "recommendations",
                f"{counts.recommendations:,} ({counts.duplicate_recommendations:,} repeated, "
                f"{counts.degraded_recommendations:,} degraded, "
                f"{counts.unreadable_recommendations:,} unreadable)",
            ),
            ("faults sent", f"{counts.duplicates_sent:,} duplicates, {counts.poison_sent:,} poison"),
            ("dead letters", f"{counts.dead_letters:,}"),
            ("sender behind plan p50 / p99", f"{delay.p50:,.1f} / {delay.p99:,.1f} ms"),
            ("own CPU, load average", f"{self.cpu_share:.2f} cores, {self.load_average:.2f}"),
        ]
        if counts.duplicate_recommendations and not counts.duplicates_sent:
            rows.append(
                (
                    "why repeated",
                    "events with these ids were seen before; --id-prefix TEXT sends them as new ones",
                )
            )
        if self.skipped_rows:
            skipped = ", ".join(f"{count:,} {reason}" for reason, count in sorted(self.skipped_rows.items()))
            rows.insert(1, ("rows left out", skipped))
        return render(rows, title="replay" + (" (interrupted)" if self.interrupted else ""), width=width)


def render(rows: list[tuple[str, str]], *, title: str, width: int = 100) -> str:
    """Two columns of text under a title, without colours."""
    table = Table(title=title, show_header=False, title_justify="left")
    table.add_column()
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, value)
    console = Console(width=width, no_color=True, force_terminal=False)
    with console.capture() as captured:
        console.print(table)
    return captured.get()
