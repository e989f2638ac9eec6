"""Learning curves as a picture: each model's quality over the stream."""

import io
from collections.abc import Mapping
from typing import Any

from load.errors import LoadError

_TITLES = {"recall@20": "Recall@20", "ndcg@20": "NDCG@20", "mrr@20": "MRR@20", "hitrate@20": "Hit rate@20"}


class NoPlots(LoadError):
    """matplotlib is not installed: says how to get it."""


def draw_curves(report: Mapping[str, Any], *, metrics: tuple[str, ...] = ("recall@20", "mrr@20")) -> bytes:
    """A PNG with one panel a metric: means over the warm units of equal stretches of the stream, fifty at most.

    NoPlots where matplotlib is missing.
    """
    try:
        from matplotlib import colormaps
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise NoPlots("learning curves need matplotlib: pip install 'headwater[bench]'") from error
    figure = Figure(figsize=(11, 3.6 * len(metrics)), dpi=110, layout="constrained")
    burn_in = report["stream"]["burn_in"] * report["stream"]["units"]
    for place, metric in enumerate(metrics, start=1):
        axes = figure.add_subplot(len(metrics), 1, place)
        axes.set_prop_cycle(color=[colormaps["tab20"](at) for at in range(20)])
        for name, model in report["models"].items():
            bold = name == report["subject"]
            axes.plot(
                model["curve"]["unit"],
                model["curve"][metric],
                label=name,
                linewidth=2.2 if bold else 1.0,
                zorder=3 if bold else 2,
            )
        axes.axvspan(0, burn_in, color="0.93", zorder=0)
        axes.set_xlim(0, report["stream"]["units"])
        axes.set_ylim(bottom=0)
        axes.set_ylabel(_TITLES[metric])
        axes.grid(alpha=0.3)
        if place == 1:
            figure.legend(fontsize=8, ncols=1, loc="outside right upper")
    axes.set_xlabel("units of the stream (grey: counts in no figure)")
    picture = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(picture, format="png")
    return picture.getvalue()
