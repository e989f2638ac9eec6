import urllib.request

import pytest

from streams.metrics import Metrics


def _value(metrics: Metrics, name: str, **labels: str) -> float | None:
    value: float | None = metrics.registry.get_sample_value(name, labels)
    return value


def test_two_workers_in_one_process_do_not_share_metrics() -> None:
    one, other = Metrics(role="recommender"), Metrics(role="learner")
    one.events.labels(topic="clicks").inc(3)
    assert _value(one, "headwater_events_total", topic="clicks") == 3
    assert _value(other, "headwater_events_total", topic="clicks") is None
    assert _value(other, "headwater_worker_info", role="learner") == 1


def test_freshness_is_counted_in_milliseconds() -> None:
    metrics = Metrics(role="recommender")
    for value in (3, 24, 26, 90_000):
        metrics.freshness_ms.observe(value)
    assert _value(metrics, "headwater_freshness_ms_bucket", le="25.0") == 2
    assert _value(metrics, "headwater_freshness_ms_bucket", le="60000.0") == 3
    assert _value(metrics, "headwater_freshness_ms_count") == 4


def test_lag_of_a_partition_that_moved_away_disappears() -> None:
    metrics = Metrics(role="recommender")
    metrics.set_lag({("clicks", 0): 7, ("clicks", 1): -1})
    assert _value(metrics, "headwater_lag_events", topic="clicks", partition="0") == 7
    assert _value(metrics, "headwater_lag_events", topic="clicks", partition="1") == 0
    metrics.set_lag({("clicks", 1): 5})
    assert _value(metrics, "headwater_lag_events", topic="clicks", partition="0") is None
    assert _value(metrics, "headwater_lag_events", topic="clicks", partition="1") == 5


def test_metrics_are_served_until_closed() -> None:
    metrics = Metrics(role="recommender")
    metrics.model_version.set(12)
    port = metrics.serve()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as response:
        text = response.read().decode()
    assert "headwater_model_version 12.0" in text
    assert "process_resident_memory_bytes" in text
    metrics.close()
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10)


def test_taken_port_is_refused() -> None:
    first, second = Metrics(role="a"), Metrics(role="b")
    port = first.serve()
    try:
        with pytest.raises(OSError, match="in use"):
            second.serve(port=port)
    finally:
        first.close()
    second.close()
