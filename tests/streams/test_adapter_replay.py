"""The log makes an adapter again, from its start and from a snapshot, and says where it would not."""

import asyncio
from pathlib import Path

import pytest

from events.clock import SystemClock
from models.errors import AdapterError
from streams.adapter_operations import adapter_named, adapters_on, release, rollback
from streams.adapter_replay import replay
from streams.bounded_read import read_to_end
from streams.learner_parts import learning_agent
from streams.log_reader import LogRecord
from streams.metrics import Metrics
from streams.publisher import Publisher
from streams.settings import KafkaSettings, Settings
from streams.topics import ensure
from tests.storefront import Storefront, visits
from tests.systems import small_settings

OFTEN = {"deep": False, "batch_units": 8, "publish_every_batches": 2, "snapshot_every_batches": 6}


@pytest.fixture
def learnt(kafka: KafkaSettings, tmp_path: Path) -> Settings:
    """A broker with events, and the adapters that a learner made of them in another order than a reader's."""
    settings = small_settings(kafka, redis_url="", redis_prefix="t", folder=tmp_path, learner=OFTEN)
    ensure(settings.kafka)
    Storefront(settings).send(visits(260, users=30))
    agent, topics = learning_agent(
        settings, metrics=Metrics(role="learner"), folder=Path(settings.learner.snapshot_dir)
    )
    log = [
        LogRecord(r.topic, r.partition, r.offset, r.timestamp, r.key, r.value, tuple(r.headers))
        for r in read_to_end(settings.kafka, topics=list(topics))
    ]
    log.sort(key=lambda record: (record.offset // 5, record.topic, record.partition, record.offset))
    with Publisher(settings.kafka.confluent()) as publisher:
        for record in log:
            asyncio.run(publisher.send(agent.process([record])))
    return settings


def made_again(settings: Settings, name: str, work: Path) -> tuple[str, tuple[str, ...]]:
    work.mkdir()
    made = replay(settings, target=adapter_named(settings.kafka, name), work=work)
    return made.started_from, made.differences


def test_adapter_is_made_again_to_the_bit_and_another_learner_makes_another(
    learnt: Settings, tmp_path: Path
) -> None:
    published = adapters_on(learnt.kafka).published
    assert len(published) > 8
    first, last = published[1], published[-1]
    assert made_again(learnt, first.name, tmp_path / "first") == ("the log's start", ())
    started_from, differences = made_again(learnt, last.name, tmp_path / "last")
    assert (started_from[:9], differences) == ("snapshot-", ())
    other = learnt.updated(learner={"seed": 99})
    _, differences = made_again(other, first.name, tmp_path / "other")
    assert any("wide.layer0.weight: up to" in difference for difference in differences)
    (Path(learnt.learner.snapshot_dir) / "journal.jsonl").unlink()
    with pytest.raises(AdapterError, match="the learner's own folder"):
        made_again(learnt, first.name, tmp_path / "none")


def test_pointer_pins_what_it_points_to_until_it_is_released(learnt: Settings) -> None:
    kafka = learnt.kafka
    before = adapters_on(kafka)
    assert release(kafka) is None
    target = rollback(kafka, name=before.published[1].name, reason="a test", clock=SystemClock())
    now = adapters_on(kafka)
    assert now.serving is not None
    assert (now.serving.name, now.pin and now.pin["reason"]) == (target.name, "a test")
    newest = release(kafka)
    assert newest is not None
    assert newest.name == before.published[-1].name
    assert adapters_on(kafka).pinned is None
    with pytest.raises(AdapterError, match="no adapter on the topic"):
        rollback(kafka, name="000000-nothing", reason="", clock=SystemClock())
