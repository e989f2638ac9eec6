"""The benchmarks that need no broker, a few events large."""

import json

import pytest

from bench.machine import Machine
from bench.offline import Offline, item_vectors
from bench.prequential_demo import PrequentialConfig, run_prequential
from bench.recommend import STAGES, RecommendBenchConfig, run_recommend
from bench.rerank import RerankConfig, run_rerank
from events.ids import ItemId, UserId
from events.topics import Topic
from events.types import CatalogueItem, Item, ViewItem
from streams.settings import Settings

EVENTS = 60


@pytest.fixture(scope="module")
def settings() -> Settings:
    return Settings().updated(
        sources={"items": 4_096, "users": 1_024, "sessions": 2_048}, serving={"candidates": 60}
    )


def test_prequential_compares_the_same_units_at_every_checkpoint(settings: Settings) -> None:
    config = PrequentialConfig(events=200, checkpoint_every=100, titles=False)
    wide_only = settings.updated(learner={"deep": False}, serving={"deep_candidates": 50})
    report = run_prequential(config, settings=wide_only, machine=Machine.describe()).as_dict()
    assert [row["events"] for row in report["details"]["checkpoints"]] == [100, 200]
    parts = report["prequential"]
    assert {"headwater", "wide", "recent_popularity", "personal_frequency"} <= parts.keys()
    assert report["units"] > 0
    assert parts["wide"]["units"] == parts["recent_popularity"]["units"] == report["units"]
    assert 0 < parts["wide"]["recall@20"] <= 1


def test_rerank_times_both_sides_on_the_same_candidates(settings: Settings) -> None:
    config = RerankConfig(candidates=20, events=EVENTS, rounds=2)
    report = json.loads(run_rerank(config, settings=settings, machine=Machine.describe()).to_json())
    assert report["ratio"] == pytest.approx(report["cross_encoder_ms"] / report["ours_ms"], rel=1e-3)
    assert 0 < report["details"]["wide_ms"] < report["ours_ms"]
    assert report["settings"]["cross_encoder_layers"] == 6
    assert report["details"]["pair_tokens"] > 5


def test_recommend_times_every_stage_at_every_batch_size(settings: Settings) -> None:
    config = RecommendBenchConfig(events=EVENTS, batches=(1, 32), rounds=3)
    report = run_recommend(config, settings=settings, machine=Machine.describe()).as_dict()
    for size in ("batch_1", "batch_32"):
        for stage in STAGES:
            assert 0 < report[size][stage]["p50_ms"] <= report[size][stage]["p99_ms"]
        parts = sum(report[size][stage]["p50_ms"] for stage in STAGES)
        assert parts <= report[size]["total"]["p99_ms"] * 1.5
    assert set(report["goals"]) == {"sources_features_ms", "wide_ms", "slate_ms", "deep_ms"}


def test_a_catalogue_record_is_known_to_later_events_and_not_to_those_of_its_moment(
    settings: Settings,
) -> None:
    offline = Offline(settings.updated(learner={"deep": False}))
    start_ms = 1_700_000_000_000
    items = [
        CatalogueItem(occurred_at=start_ms + at, item_id=ItemId(f"i{at}"), item_name="a mug")
        for at in (1, 5, 9)
    ]
    known: list[int] = []
    offline.run(
        [
            ViewItem(
                event_id=f"v{at}",
                occurred_at=start_ms + at,
                user_id=UserId("ann"),
                items=(Item(item_id=ItemId("z")),),
            )
            for at in (5, 6, 9)
        ],
        items=items,
        vectors=item_vectors(items, settings=settings, topic=Topic.ITEM_VECTORS.value),
        seen=lambda _: known.append(sum(f"i{at}" in offline.sources.catalogue.ids for at in (1, 5, 9))),
    )
    assert known == [1, 2, 2]


@pytest.mark.parametrize("batches", [(), (0,)])
def test_batches_without_shoppers_are_refused(batches: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="batches"):
        RecommendBenchConfig(batches=batches)
