"""The report as tables of text: the same ones on the terminal and on the page."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from load.prequential.figures import HEADLINES

_BEYOND = {
    "coverage": "coverage",
    "gini": "Gini",
    "novelty_bits": "novelty, bits",
    "tail_exposure": "long-tail share",
    "list_distance": "list distance",
    "category_entropy_bits": "category entropy, bits",
    "topic_entropy_bits": "topic entropy, bits",
}
_GROUPS = {
    "warm": "Warm units",
    "cold": "Cold units",
    "all": "All units",
    "young": "Young items: targets that are known and were in at most 5 units before",
    "new_item": "New items: targets in no unit before and not in the catalogue",
}


@dataclass(frozen=True, slots=True)
class Table:
    """Cells of text under a title; the first column names the row."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def tables_of(report: Mapping[str, Any]) -> list[Table]:
    """Every table of the report, the most telling first."""
    models: Mapping[str, Any] = report["models"]
    tables = [_headline(models), _paired(report)] if report["paired"] else [_headline(models)]
    tables += [_group(models, group=group, title=title) for group, title in _GROUPS.items()]
    return [*tables, _deciles(models), _beyond(models), _costs(models)]


def number(value: float | None, digits: int = 3) -> str:
    """A figure to read, an en dash where there is none.

    >>> number(0.12345), number(None), number(-0.5, digits=1)
    ('0.123', '–', '-0.5')
    """
    return "–" if value is None else f"{value:,.{digits}f}"


def _headline(models: Mapping[str, Any]) -> Table:
    rows = []
    for name, model in models.items():
        warm = model["warm"]
        cells = [
            f"{number(warm[metric])} [{number(low)}, {number(high)}]"
            for metric, (low, high) in ((metric, warm["interval"][metric]) for metric in HEADLINES)
        ]
        young = number(model["young"]["recall@20"])
        rows.append((name, *cells, young, f"{model['units_per_s']:,.0f}", f"{model['peak_rss_mb']:,.0f}"))
    header = ("model", "Recall@20", "NDCG@20", "MRR@20", "Hit@20", "young found", "units/s", "peak MB")
    return Table("Warm units, with 95 % intervals by block bootstrap over time", header, tuple(rows))


def _paired(report: Mapping[str, Any]) -> Table:
    rows = []
    for name, metrics in report["paired"].items():
        cells = []
        for metric in HEADLINES:
            found = metrics[metric]
            sign = "+" if (found["difference"] or 0) > 0 else ""
            cells.append(
                f"{sign}{number(found['difference'])} [{number(found['low'])}, "
                f"{number(found['high'])}], p {number(found['p'])}"
            )
        rows.append((name, *cells))
    title = f"{report['subject']} less each model, on the same warm units"
    return Table(title, ("model", "Recall@20", "NDCG@20", "MRR@20", "Hit@20"), tuple(rows))


def _group(models: Mapping[str, Any], *, group: str, title: str) -> Table:
    cuts = tuple(
        (f"{metric}@{k}", f"{label}@{k}")
        for metric, label in (("recall", "Recall"), ("ndcg", "NDCG"), ("mrr", "MRR"), ("hitrate", "Hit"))
        for k in (5, 10, 20)
    )
    rows = tuple(
        (name, f"{model[group]['units']:,}", *(number(model[group][key]) for key, _ in cuts))
        for name, model in models.items()
    )
    return Table(title, ("model", "n", *(label for _, label in cuts)), rows)


def _deciles(models: Mapping[str, Any]) -> Table:
    first = next(iter(models.values()))["popularity_decile"]
    rows = [("targets", *(f"{decile['units']:,}" for decile in first))]
    rows += [
        (name, *(number(decile["recall@20"]) for decile in model["popularity_decile"]))
        for name, model in models.items()
    ]
    title = "Share of targets found in the top 20, by the item's popularity over the whole stream"
    return Table(title, ("model", "top tenth", *(f"{at}." for at in range(2, 10)), "last tenth"), tuple(rows))


def _beyond(models: Mapping[str, Any]) -> Table:
    present = [key for key in _BEYOND if key in next(iter(models.values()))]
    rows = tuple((name, *(number(model[key]) for key in present)) for name, model in models.items())
    return Table("Beyond accuracy", ("model", *(_BEYOND[key] for key in present)), rows)


def _costs(models: Mapping[str, Any]) -> Table:
    rows = tuple(
        (
            name,
            *(number(model[part][at], 2) for part in ("recommend_ms", "learn_ms") for at in ("p50", "p99")),
            f"{model['units_per_s']:,.0f}",
            f"{model['units_per_cpu_s']:,.0f}",
            f"{model['rss_before_mb']:,.0f}",
            *(f"{held:,.0f}" for held in model["rss_mb_at"].values()),
            f"{model['peak_rss_mb']:,.0f}",
        )
        for name, model in models.items()
    )
    header = (
        "model",
        "ask p50, ms",
        "ask p99",
        "learn p50, ms",
        "learn p99",
        "units/s",
        "units/CPU s",
        "MB before",
        "MB at 25 %",
        "50 %",
        "75 %",
        "100 %",
        "peak MB",
    )
    return Table("Costs, one process each", header, rows)
