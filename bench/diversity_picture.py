"""The curves of `bench diversity`: what each strength gives, against the recall that it costs."""

import io
from collections.abc import Mapping
from typing import Any

from load.prequential.curves import NoPlots

_PANELS = (
    ("tail_times", "long-tail exposure / pure ranking's", 2.0),
    ("entropy_times", "category entropy / pure ranking's", 1.3),
    ("young", "share of young targets found", 0.03),
)
_COST, _MOST = 0.02, 0.12  # the loss that the goals allow; beyond the other nobody goes


def draw_diversity(streams: Mapping[str, Mapping[str, Any]]) -> bytes:
    """A PNG: a row for each stream's report by name, a panel for each goal (dashed). NoPlots without matplotlib."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise NoPlots("curves need matplotlib: pip install 'headwater[bench]'") from error
    figure = Figure(figsize=(14, 4.2 * len(streams)), dpi=100, layout="constrained")
    for row, (name, report) in enumerate(streams.items()):
        points = [point for point in report["points"].values() if "recall_loss" in point]
        curves = dict.fromkeys(point["curve"] for point in points if point["curve"] != "pure")
        for column, (key, label, goal) in enumerate(_PANELS):
            axes = figure.add_subplot(len(streams), len(_PANELS), row * len(_PANELS) + column + 1)
            for curve in curves:
                mine = [p for p in points if p["curve"] in (curve, "pure") and p.get(key) is not None]
                if curve in ("arms", "bandit"):
                    mine = [p for p in mine if p["curve"] == curve]
                mine = sorted(
                    (p for p in mine if p["recall_loss"] <= _MOST), key=lambda p: float(p["recall_loss"])
                )
                style = {"arms": "s", "bandit": "*"}.get(curve, "o-")
                axes.plot(
                    [100 * p["recall_loss"] for p in mine],
                    [p[key] for p in mine],
                    style,
                    label=curve,
                    markersize=11 if curve == "bandit" else 4,
                )
            axes.axhline(goal, color="0.5", linestyle="--", linewidth=0.8)
            axes.axvline(100 * _COST, color="0.5", linestyle="--", linewidth=0.8)
            axes.set_xlabel("relative loss of recall@20, warm units (%)")
            axes.set_ylabel(label)
            axes.set_title(name if column == 0 else "")
            axes.grid(alpha=0.3)
            if row == column == 0:
                axes.legend(fontsize=8)
    picture = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(picture, format="png")
    return picture.getvalue()
