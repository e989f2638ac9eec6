"""What serves follows from the topic: the newest adapter, or the one that is pinned."""

import itertools
import json
from pathlib import Path

import pytest

from models.adapter_record import UNTRAINED, AdapterRecord
from models.errors import AdapterError
from streams.adapter_topic import (
    PIN_HEADER,
    PIN_KEY,
    SERVING_HEADER,
    Adapters,
    pin_record,
    read_adapters,
    release_record,
)
from streams.log_reader import LogRecord
from streams.publisher import Record
from tests.streams.learner_agents import LearnerLife, interleaved, learner_life, shop_log


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> LearnerLife:
    life = learner_life(tmp_path_factory.mktemp("learner"))
    life.feed(interleaved(shop_log(), seed=1))
    return life


def on_topic(records: list[Record]) -> list[LogRecord]:
    return [LogRecord("adapters", 0, at, at, r.key, r.value, r.headers) for at, r in enumerate(records)]


def read(records: list[Record]) -> Adapters:
    return read_adapters(on_topic(records), values=True)


def test_adapters_are_named_by_offsets_parent_and_config(life: LearnerLife) -> None:
    found = read(life.published).published
    assert len(found) > 10
    assert found[0].record.parent == UNTRAINED
    for before, after in itertools.pairwise(found):
        assert after.record.parent == before.name
        ends = {
            place: offset for *place, offset in map(list, before.record.offsets) for place in [tuple(place)]
        }
        assert all(offset >= ends.get((topic, at), 0) for topic, at, offset in after.record.offsets)
    assert len({one.name for one in found}) == len(found)
    last = found[-1].record
    other = [
        AdapterRecord(last.version, last.steps, last.units, last.offsets[1:], last.parent, last.config, {}),
        AdapterRecord(last.version, last.steps, last.units, last.offsets, "another", last.config, {}),
        AdapterRecord(last.version, last.steps, last.units, last.offsets, last.parent, "another", {}),
    ]
    assert len({last.name, *(one.name for one in other)}) == 4


def test_record_that_is_not_what_its_name_says_is_passed_over(life: LearnerLife) -> None:
    good = life.published[0]
    serving = json.loads(dict(good.headers)[SERVING_HEADER])
    serving["record"]["parent"] = "forged"
    forged = good._replace(headers=((SERVING_HEADER, json.dumps(serving).encode()),))
    assert read([forged, good]).published == read([good, good]).published[1:]
    for junk in (b"", b"[]", b"{", b'{"record": 7}', b"[" * 100_000):
        assert read([good._replace(headers=((SERVING_HEADER, junk),))]).published == ()


def test_compaction_keeps_the_last_adapters_and_the_pointer(life: LearnerLife) -> None:
    pin = pin_record(read(life.published[:3]).published[1], topic="adapters", reason="bad week", at_ms=7)
    log = on_topic([*life.published[:3], pin, *life.published[3:]])
    compacted = {record.key: record for record in log}
    left = read_adapters(sorted(compacted.values(), key=lambda record: record.offset))
    assert [one.version for one in left.published] == [
        one.version for one in read(life.published).published[-len(left.published) :]
    ]
    assert len(left.published) == min(16, len(life.published))
    assert left.serving is not None
    assert left.serving.version == 2
    assert (
        dict(pin.headers)[PIN_HEADER]
        == json.dumps({"name": left.serving.name, "reason": "bad week", "at_ms": 7}).encode()
    )


def test_newest_serves_until_one_is_pinned_and_after_it_is_released(life: LearnerLife) -> None:
    records = life.published
    found = read(records)
    pin = pin_record(found.published[0], topic="adapters", reason="", at_ms=7)
    assert (pin.key, pin.value) == (PIN_KEY, records[0].value)
    for log, serving in (
        (records, len(records)),
        ([*records, pin], 1),
        ([*records[:4], pin, *records[4:]], 1),
        ([*records, pin, release_record(topic="adapters")], len(records)),
    ):
        now = read(log).serving
        assert now is not None
        assert now.version == serving
    with pytest.raises(AdapterError, match="is called 'nothing'; the last ones are 0000"):
        found.named("nothing")


def test_peft_folder_says_the_same_as_the_record(tmp_path: Path) -> None:
    life = learner_life(tmp_path, snapshot_every=4, publish_every=4)
    life.feed(interleaved(shop_log(), seed=1))
    found = read(life.published).published
    folders = sorted((tmp_path / "adapters").iterdir())
    assert len(folders) == 3
    for folder, one in zip(folders, found[-3:], strict=True):
        assert json.loads((folder / "manifest.json").read_text())["record"] == one.record.to_json()
