"""Metrics read back from a page."""

import pytest

from bench.scrape import labelled, parse, since, stage_means_ms, total
from streams.metrics import Metrics


def page(metrics: Metrics) -> dict[str, float]:
    from prometheus_client import generate_latest

    return parse(generate_latest(metrics.registry).decode())


def test_stage_means_are_of_what_was_timed_between_two_readings() -> None:
    metrics = Metrics(role="recommender")
    metrics.stage_ms.labels(stage="wide").observe(100.0)
    before = page(metrics)
    for ms in (1.0, 3.0):
        metrics.stage_ms.labels(stage="wide").observe(ms)
    metrics.stage_ms.labels(stage="slate").observe(5.0)
    grown = since(page(metrics), before)
    assert stage_means_ms(grown) == {"wide": pytest.approx(2.0), "slate": pytest.approx(5.0)}


def test_families_add_up_over_labels_and_split_by_one() -> None:
    metrics = Metrics(role="recommender")
    metrics.degradations.labels(kind="wide-only").inc(3)
    metrics.degradations.labels(kind="fewer-candidates").inc()
    readings = page(metrics)
    assert total(readings, "headwater_degradations_total") == 4
    assert labelled(readings, "headwater_degradations_total", label="kind") == {
        "wide-only": 3.0,
        "fewer-candidates": 1.0,
    }
