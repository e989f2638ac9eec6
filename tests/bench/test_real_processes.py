"""The benchmarks on real servers and worker processes, seconds long."""

from pathlib import Path

import pytest

from bench.adapter_propagation import Sightings
from bench.errors import BenchError
from bench.freshness import FreshnessConfig, run_freshness
from bench.ingest import IngestConfig, run_ingest
from bench.machine import Machine
from bench.propagation import PropagationConfig, run_propagation
from bench.servers import running
from streams.errors import ServerUnavailable
from streams.settings import Settings


@pytest.fixture
def settings() -> Settings:
    """The embedded broker takes half the session timeout to let a group form, so the timeout is short."""
    return Settings().updated(
        kafka={"partitions": 4, "session_timeout_s": 2.0, "heartbeat_s": 0.5},
        sources={"items": 4_096, "users": 4_096, "sessions": 4_096},
        learner={"deep": False},
    )


@pytest.mark.e2e
def test_freshness_answers_every_click_once(settings: Settings) -> None:
    config = FreshnessConfig(rate=50, seconds=3, warmup_s=1, history=40)
    report = run_freshness(config, settings=settings, machine=Machine.describe()).as_dict()
    assert report["lost"] == 0
    assert report["duplicated"] == 0
    assert report["details"]["measured"] == 150
    assert 0 < report["p50_ms"] <= report["p90_ms"] <= report["p99_ms"] <= report["max_ms"]
    assert {"read", "sources", "wide", "write"} <= report["details"]["stage_mean_ms"].keys()


@pytest.mark.e2e
@pytest.mark.long
def test_ingest_times_all_four_contenders(settings: Settings) -> None:
    config = IngestConfig(events=2_000, shoppers=200, rounds=1)
    report = run_ingest(config, settings=settings, machine=Machine.describe()).as_dict()
    for name in ("headwater_eps", "headwater_envelope_eps", "faust_raw_eps", "aiokafka_eps"):
        assert report[name] > 0
    assert report["ratio_to_faust_raw"] == pytest.approx(
        report["headwater_eps"] / report["faust_raw_eps"], rel=1e-2
    )


@pytest.mark.e2e
@pytest.mark.long
def test_propagation_sees_items_and_adapters_arrive(settings: Settings) -> None:
    config = PropagationConfig(items=5, asked=2, seconds=8, rate=40, batch_units=8, history=40)
    report = run_propagation(config, settings=settings, machine=Machine.describe()).as_dict()
    assert report["details"]["items"] == 5
    assert report["details"]["adapters"] >= 1
    assert 0 < report["item_p50_ms"] <= report["item_p99_ms"]
    assert report["adapter_p99_ms"] > 0


def test_a_skipped_version_counts_to_the_next_one_seen_and_the_first_not_at_all() -> None:
    sightings = Sightings()
    for version in (1, 2, 3):
        sightings.published(version, made_ms=version * 100 - 5, published_ms=version * 100)
    sightings.seen(1, at_ms=130.0)
    sightings.seen(1, at_ms=140.0)
    sightings.seen(3, at_ms=350.0)
    published, made = sightings.latencies()
    assert published.tolist() == [150.0, 50.0]
    assert made.tolist() == [155.0, 55.0]


def test_kafka_without_a_home_says_what_to_set() -> None:
    with (
        pytest.raises(BenchError, match="KAFKA_HOME"),
        running(Settings(), broker="kafka", kafka_home=None, prefix="x-"),
    ):
        pass


def test_a_home_without_jars_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(ServerUnavailable, match="KAFKA_HOME"),
        running(Settings(), broker="kafka", kafka_home=tmp_path, prefix="x-"),
    ):
        pass
