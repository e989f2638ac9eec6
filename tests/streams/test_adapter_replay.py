"""The log makes an adapter again, from its start and from a snapshot, and says where it would not."""

import asyncio
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from cli.main import app
from events.clock import SystemClock
from models.errors import AdapterError
from streams.adapter_operations import adapter_named, adapters_on, release, rollback
from streams.adapter_replay import replay
from streams.bounded_read import read_to_end
from streams.learner_parts import learning_agent, learnt_from
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
    agent = learning_agent(
        settings, metrics=Metrics(role="learner"), folder=Path(settings.learner.snapshot_dir)
    )
    log = [
        LogRecord(r.topic, r.partition, r.offset, r.timestamp, r.key, r.value, tuple(r.headers))
        for r in read_to_end(settings.kafka, topics=list(learnt_from(settings)))
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


def test_commands_show_pin_release_and_make_again(learnt: Settings) -> None:
    def headwater(*arguments: str, settings: Settings = learnt) -> Result:
        return CliRunner().invoke(
            app, ["adapters", *arguments], env={**settings.environment(), "COLUMNS": "200"}
        )

    published = adapters_on(learnt.kafka).published
    name = published[1].name
    assert [headwater(*line).exit_code for line in (["list"], ["show", name], ["rollback", name])] == [
        0,
        0,
        0,
    ]
    listed = headwater("list", "--limit", "2").stdout.splitlines()
    assert (listed[1].startswith("*"), "pinned" in listed[1], len(listed)) == (True, True, 4)
    assert f"parent       {published[0].name}" in headwater("show", name).stdout
    assert f"{published[-1].name} serves" in headwater("release").stdout
    assert "nothing was pinned" in headwater("release").stdout
    same = headwater("replay", "--to", name)
    assert (same.exit_code, "bit-identical" in same.stdout) == (0, True), same.output
    other = headwater("replay", "--to", name, settings=learnt.updated(learner={"seed": 99}))
    assert (other.exit_code, "made with other settings" in other.stdout) == (1, True), other.output
    assert isinstance(headwater("show", "000000-nothing").exception, AdapterError)
