"""The learner's state is a function of the log and of the order that it wrote down, whatever its process met."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from events.topics import USER_TOPICS
from models.deep_config import DeepConfig
from models.promotion import PromotionConfig
from models.snapshots import snapshots
from streams.adapter_topic import SERVING_HEADER
from streams.learning import JOURNAL
from streams.log_reader import LogRecord
from streams.publisher import Record
from streams.sequencer import Journal
from tests.full_disk import files_up_to
from tests.serving.learners import differences
from tests.streams.learner_agents import (
    LearnerLife,
    Log,
    in_order_of,
    interleaved,
    learner_life,
    shop_log,
)

LOG = shop_log()


def read_on(life: LearnerLife, log: Log, *, seed: int) -> list[LogRecord]:
    """What a restarted learner's consumer brings: everything from the offsets of its snapshot on."""
    return interleaved(log, seed=seed, start=dict(life.agent.offsets))


def as_published(records: Sequence[Record]) -> dict[int, tuple[bytes | None, bytes]]:
    """Adapter by version; the same version published twice must be the same bytes."""
    found: dict[int, tuple[bytes | None, bytes]] = {}
    for record in records:
        header = dict(record.headers)[SERVING_HEADER]
        version = json.loads(header)["version"]
        assert found.setdefault(version, (record.value, header)) == (record.value, header)
    return found


def test_kill_at_any_point_and_restart_end_in_the_bits_of_one_uninterrupted_life(tmp_path: Path) -> None:
    order = interleaved(LOG, seed=1)
    whole = learner_life(tmp_path / "whole")
    whole.feed(order)
    assert len(snapshots(tmp_path / "whole")) == 3
    for killed_at in (1, 40, 77, 130, 200, len(order) - 1):
        folder = tmp_path / f"killed-{killed_at}"
        first = learner_life(folder)
        first.feed(order[:killed_at])
        del first  # kill -9: nothing is flushed, the folder is as it is
        second = learner_life(folder)
        second.feed(again_in_order(second, order))
        assert differences(whole.state(), second.state()) == [], killed_at
        assert second.agent.offsets == whole.agent.offsets
        assert as_published([*second.published, *whole.published]) == as_published(whole.published)


def again_in_order(life: LearnerLife, order: Sequence[LogRecord]) -> list[LogRecord]:
    """The records of `order` that are not in the life's snapshot."""
    at = life.agent.offsets
    return [record for record in order if record.offset >= at.get((record.topic, record.partition), 0)]


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kills=st.lists(st.integers(1, 200), min_size=1, max_size=3),
    seeds=st.lists(st.integers(0, 1000), min_size=4, max_size=4),
)
def test_restart_repeats_what_it_had_published_whatever_order_partitions_come_back_in(
    tmp_path_factory: pytest.TempPathFactory, kills: list[int], seeds: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("learner")
    published: list[Record] = []
    for killed_after, seed in zip(kills, seeds, strict=False):
        life = learner_life(folder)
        life.feed(read_on(life, LOG, seed=seed)[:killed_after])
        published += life.published
    last = learner_life(folder)
    last.feed(read_on(last, LOG, seed=seeds[-1]))
    as_published([*published, *last.published])  # asserts that a version has one content for ever
    assert last.agent.offsets == {place: len(records) for place, records in LOG.items()}


def test_interrupted_life_equals_one_that_is_fed_in_the_order_written_down(tmp_path: Path) -> None:
    killed = tmp_path / "killed"
    first = learner_life(killed, snapshot_every=1000)
    first.feed(interleaved(LOG, seed=5)[:150])
    second = learner_life(killed, snapshot_every=1000)
    second.feed(read_on(second, LOG, seed=99))
    order = in_order_of(LOG, Journal(killed / "journal.jsonl").read())
    assert len(order) > 200
    plain = learner_life(tmp_path / "plain", snapshot_every=1000)
    plain.feed(order)
    assert len(plain.published) > 10
    assert as_published(plain.published) == as_published([*first.published, *second.published])


def test_transformer_and_its_optimiser_come_back_to_the_bit(tmp_path: Path, deep_config: DeepConfig) -> None:
    order = interleaved(LOG, seed=3)
    whole = learner_life(tmp_path / "whole", deep=deep_config)
    whole.feed(order)
    first = learner_life(tmp_path / "killed", deep=deep_config)
    first.feed(order[:140])
    second = learner_life(tmp_path / "killed", deep=deep_config)
    assert second.agent.offsets  # it starts from a snapshot, not from nothing
    second.feed(again_in_order(second, order))
    assert any("deep" in name for name in whole.state())
    assert differences(whole.state(), second.state()) == []
    assert as_published([*whole.published, *second.published]) == as_published(whole.published)


def test_batches_of_the_consumer_do_not_matter(tmp_path: Path) -> None:
    order = interleaved(LOG, seed=2)
    single, batched = learner_life(tmp_path / "single"), learner_life(tmp_path / "batched")
    single.feed(order)
    for start in range(0, len(order), 17):
        batched.published += batched.agent.process(order[start : start + 17])
    assert differences(single.state(), batched.state()) == []
    assert as_published(single.published) == as_published(batched.published)


def test_records_delivered_again_are_taken_once(tmp_path: Path) -> None:
    """A rebalance makes the consumer read on from the offsets taken; what it had fetched beyond comes twice."""
    order = interleaved(LOG, seed=2)
    once, twice = learner_life(tmp_path / "once"), learner_life(tmp_path / "twice")
    once.feed(order)
    for start in range(0, len(order), 20):
        twice.feed(order[max(0, start - 30) : start + 20])
    assert differences(once.state(), twice.state()) == []
    assert twice.agent.offsets == once.agent.offsets


def test_records_delivered_again_while_the_journal_is_replayed_are_taken_once(tmp_path: Path) -> None:
    order = interleaved(LOG, seed=2)
    whole = learner_life(tmp_path / "whole", snapshot_every=1000)
    whole.feed(order)
    first = learner_life(tmp_path / "killed", snapshot_every=1000)
    first.feed(order[:150])
    second = learner_life(tmp_path / "killed", snapshot_every=1000)
    by_partition = [record for place in sorted(LOG) for record in LOG[place]]
    second.feed(by_partition[:120])  # waits for the partitions whose turn comes first
    second.feed(by_partition)  # the rebalance: everything not taken comes again
    assert second.agent.offsets == whole.agent.offsets
    assert (
        second.events() == whole.events() == sum(len(LOG[place]) for place in LOG if place[0] in USER_TOPICS)
    )
    replayed = as_published(first.published)
    assert replayed.items() <= as_published(second.published).items()


def test_what_cannot_be_understood_teaches_nothing_and_stops_nothing(tmp_path: Path) -> None:
    order = interleaved(LOG, seed=1)
    clean, dirty = learner_life(tmp_path / "clean"), learner_life(tmp_path / "dirty")
    clean.feed(order)
    ends = {place: len(records) for place, records in LOG.items()}
    dirty.feed(order)
    poison = [
        LogRecord(topic, partition, end, order[-1].timestamp_ms, b"k", b"\xff{")
        for (topic, partition), end in sorted(ends.items())
    ]
    dirty.feed(poison)
    assert differences(clean.state(), dirty.state()) == []
    assert dirty.agent.offsets == {place: end + 1 for place, end in ends.items()}


def test_every_kept_snapshot_can_be_started_from(tmp_path: Path) -> None:
    life = learner_life(tmp_path)
    life.feed(interleaved(LOG, seed=1))
    kept = snapshots(tmp_path)
    assert len(kept) == 3
    reached = []
    for newest in reversed(kept):
        reached.append(sum(learner_life(tmp_path).agent.offsets.values()))
        shutil.rmtree(newest)  # damaged, say: the operator removes it, as the error tells them to
    assert reached == sorted(reached, reverse=True)
    assert reached[-1] > 0
    assert learner_life(tmp_path).agent.offsets == {}


def test_crash_between_a_snapshot_and_the_end_of_its_journal_repeats_nothing(tmp_path: Path) -> None:
    order = interleaved(LOG, seed=1)
    whole = learner_life(tmp_path / "whole")
    whole.feed(order)
    folder = tmp_path / "killed"
    first = learner_life(folder)
    journal = b""
    for at, record in enumerate(order):  # noqa: B007 (the place where it stops is the place of the crash)
        first.feed([record])
        path = folder / "journal.jsonl"
        journal = path.read_bytes() if path.exists() else journal
        if snapshots(folder):
            break
    (folder / "journal.jsonl").write_bytes(journal)  # as if the snapshot's last act had not been done
    second = learner_life(folder)
    second.feed(again_in_order(second, order))
    assert differences(whole.state(), second.state()) == []
    assert as_published([*whole.published, *second.published]) == as_published(whole.published)


def test_full_disk_costs_a_snapshot_and_nothing_else(tmp_path: Path) -> None:
    order = interleaved(LOG, seed=1)
    whole, full = learner_life(tmp_path / "whole"), learner_life(tmp_path / "full")
    whole.feed(order)
    full.feed(order[:100])
    before = snapshots(tmp_path / "full")
    assert before
    journal = (tmp_path / "full" / JOURNAL).stat().st_size
    with files_up_to(journal + 4_000):  # room for the order taken, none for a snapshot
        full.feed(order[100:180])
    assert snapshots(tmp_path / "full") == before
    assert [path.name for path in (tmp_path / "full").glob(".*")] == []
    assert full.failures("snapshot") > 0
    assert full.failures("journal") == 0
    full.feed(order[180:])
    assert len(snapshots(tmp_path / "full")) == 3
    assert differences(whole.state(), full.state()) == []
    assert as_published(full.published) == as_published(whole.published)


def test_nothing_is_published_whose_order_is_not_on_disk(tmp_path: Path) -> None:
    order = interleaved(LOG, seed=1)
    whole, full = learner_life(tmp_path / "whole"), learner_life(tmp_path / "full")
    whole.feed(order)
    full.feed(order[:100])
    published = len(full.published)
    with files_up_to((tmp_path / "full" / JOURNAL).stat().st_size):
        full.feed(order[100:180])
    assert len(full.published) == published
    assert full.failures("journal") > 0
    again = learner_life(tmp_path / "full")  # killed while the disk was full: the order since is free
    again.feed(read_on(again, LOG, seed=4))
    full.feed(order[180:])
    left_out = as_published(whole.published).items() - as_published(full.published).items()
    assert 0 < len(left_out) < len(whole.published)
    assert as_published(full.published).items() <= as_published(whole.published).items()


def test_learner_killed_while_an_older_adapter_serves_ends_in_the_same_bits(tmp_path: Path) -> None:
    order = interleaved(LOG, seed=1)
    strict = PromotionConfig(window=8, min_units=2, grace_units=0, patience_units=64, sigma=0, margin=0.0)
    whole = learner_life(tmp_path / "whole", promotion=strict)
    whole.feed(order)
    told = [json.loads(dict(record.headers)[SERVING_HEADER]) for record in whole.published]
    assert "rolled-back" in {one["promotion"]["decision"] for one in told}
    held = [one for one in told if one["record"]["name"] != one["promotion"]["candidate"]]
    assert held
    for killed_at in (60, 120, 180):
        first = learner_life(tmp_path / f"killed-{killed_at}", promotion=strict)
        first.feed(order[:killed_at])
        second = learner_life(tmp_path / f"killed-{killed_at}", promotion=strict)
        second.feed(again_in_order(second, order))
        assert differences(whole.state(), second.state()) == []
        assert as_published([*second.published, *whole.published]) == as_published(whole.published)


def test_backlog_in_one_call_is_taken_a_training_step_at_a_time(tmp_path: Path) -> None:
    order = interleaved(LOG, seed=1)
    whole, paused = learner_life(tmp_path / "whole"), learner_life(tmp_path / "paused")
    whole.feed(order)
    parts = list(paused.agent.steps(order))
    assert len(parts) // 2 == len(whole.published) > 1  # every second step publishes
    assert [record.value for part in parts for record in part] == [one.value for one in whole.published]
    assert differences(whole.state(), paused.state()) == []
