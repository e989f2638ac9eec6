"""The learner's folder and the broker's log belong together, or the learner says so."""

from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from streams import topics
from streams.errors import OtherLog
from streams.learner_parts import learning_agent
from streams.metrics import Metrics
from streams.other_log import refuse_other_log
from streams.settings import KafkaSettings, Settings
from streams.workers import run_learner
from tests.servers import KAFKA, Broker
from tests.storefront import Storefront, view
from tests.systems import small_settings


@pytest.fixture
def shop(kafka: KafkaSettings) -> Storefront:
    topics.ensure(kafka)
    return Storefront(Settings(kafka=kafka))


@pytest.fixture
def ends(shop: Storefront) -> dict[tuple[str, int], int]:
    """Where each partition of the clicks ends."""
    sent = shop.send([view(f"u{n}", "i", number=n) for n in range(60)])
    found: dict[tuple[str, int], int] = {}
    for one in sent:
        place = (one.place.topic, one.place.partition)
        found[place] = max(found.get(place, 0), one.place.offset + 1)
    return found


def test_a_folder_that_read_no_further_than_the_log_goes_is_taken(
    shop: Storefront, ends: dict[tuple[str, int], int], tmp_path: Path
) -> None:
    refuse_other_log(shop.kafka, {}, folder=tmp_path)
    refuse_other_log(shop.kafka, ends, folder=tmp_path)
    refuse_other_log(shop.kafka, {place: end - 1 for place, end in ends.items()}, folder=tmp_path)


def test_a_folder_that_read_further_than_the_log_goes_is_refused(
    shop: Storefront, ends: dict[tuple[str, int], int], tmp_path: Path
) -> None:
    place = max(ends)
    with pytest.raises(OtherLog) as refusal:
        refuse_other_log(shop.kafka, {**ends, place: ends[place] + 1_200}, folder=tmp_path)
    said = str(refusal.value)
    assert f"{place[0]}-{place[1]} up to offset {ends[place] + 1_200:,}" in said
    assert f"ends at {ends[place]:,}" in said
    assert str(tmp_path) in said
    assert "Move the folder away" in said


def test_what_is_not_retained_any_more_is_no_other_log(
    broker: Broker, shop: Storefront, ends: dict[tuple[str, int], int], tmp_path: Path
) -> None:
    if broker.kind != KAFKA:
        pytest.skip("the embedded broker keeps everything")
    place, end = max(ends.items(), key=lambda at: at[1])
    assert end > 2
    admin = AdminClient(shop.kafka.confluent())
    for done in admin.delete_records([TopicPartition(*place, end - 1)]).values():
        done.result(timeout=20)
    refuse_other_log(shop.kafka, {place: 1}, folder=tmp_path)


def test_a_learner_does_not_start_on_another_log(
    kafka: KafkaSettings, ends: dict[tuple[str, int], int], tmp_path: Path
) -> None:
    settings = small_settings(kafka, redis_url="", redis_prefix="t", folder=tmp_path, learner={"deep": False})
    folder = Path(settings.learner.snapshot_dir)
    before = learning_agent(settings, metrics=Metrics(role="learner"), folder=folder)
    place = max(ends)
    before.offsets[place] = ends[place] + 64
    before.snapshot()
    with pytest.raises(OtherLog, match="Move the folder away"):
        run_learner(settings, Metrics(role="learner"))
