"""A worker's metrics as numbers, and what changed between two readings."""

from collections.abc import Mapping

Readings = Mapping[str, float]  # a series as Prometheus writes it -> its value


def parse(text: str) -> dict[str, float]:
    """Every series of a metrics page.

    >>> parse('# HELP x\\nheadwater_ready 1.0\\na_total{kind="b"} 2.5\\n')
    {'headwater_ready': 1.0, 'a_total{kind="b"}': 2.5}
    """
    readings = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            series, _, value = line.rpartition(" ")
            readings[series] = float(value)
    return readings


def total(readings: Readings, family: str) -> float:
    """The sum of a family over all of its labels."""
    return sum(
        value for series, value in readings.items() if series == family or series.startswith(f"{family}{{")
    )


def labelled(readings: Readings, family: str, *, label: str) -> dict[str, float]:
    """A family's values by one of its labels.

    >>> labelled({'x_total{kind="a"}': 2.0, 'y': 1.0}, "x_total", label="kind")
    {'a': 2.0}
    """
    found: dict[str, float] = {}
    for series, value in readings.items():
        name, _, labels = series.partition("{")
        if name == family:
            for pair in labels.rstrip("}").split(","):
                key, _, text = pair.partition("=")
                if key == label:
                    found[text.strip('"')] = found.get(text.strip('"'), 0.0) + value
    return found


def since(after: Readings, before: Readings) -> dict[str, float]:
    """How much each series grew."""
    return {series: value - before.get(series, 0.0) for series, value in after.items()}


def stage_means_ms(grown: Readings) -> dict[str, float]:
    """Mean milliseconds of a batch in each stage that was timed."""
    sums = labelled(grown, "headwater_stage_ms_sum", label="stage")
    counts = labelled(grown, "headwater_stage_ms_count", label="stage")
    return {stage: sums[stage] / count for stage, count in counts.items() if count > 0}
