"""When the learner publishes adapters, and what it tells with them."""

import json
from pathlib import Path

import numpy as np

from streams.adapter_topic import SERVING_HEADER, slot_key
from tests.streams.learner_agents import interleaved, learner_life, shop_log

LOG = shop_log()


def test_adapters_are_due_by_steps_and_say_with_what_they_were_made(tmp_path: Path) -> None:
    life = learner_life(tmp_path, publish_every=3)
    life.feed(interleaved(LOG, seed=1))
    steps = life.learnt.learner.batches
    assert len(life.published) == steps // 3 > 5
    for number, record in enumerate(life.published, start=1):
        serving = json.loads(dict(record.headers)[SERVING_HEADER])
        assert (record.topic, record.key) == ("adapters", slot_key(number, kept=16))
        assert (serving["version"], serving["steps"]) == (number, 3 * number)
        assert serving["prequential"].keys() >= {"headwater", "recent_popularity", "personal_frequency"}


def test_adapters_tell_recommenders_how_many_items_count_after_a_drift(tmp_path: Path) -> None:
    life = learner_life(tmp_path, publish_every=1)
    order = interleaved(LOG, seed=1)
    life.feed(order[:60])
    drift = life.learnt.learner.drift
    assert drift is not None
    drift.observe(np.zeros(1_024))
    assert drift.observe(np.ones(96))
    life.feed(order[:120])
    told = [json.loads(dict(record.headers)[SERVING_HEADER])["remembered"] for record in life.published]
    assert told[0] is None
    assert told[-1] == drift.remembered == 4
    assert life.metrics.registry.get_sample_value("headwater_remembered_items") == 4
    again = learner_life(tmp_path)
    assert again.learnt.learner.remembered is not None
    assert (again.metrics.registry.get_sample_value("headwater_exploration") or 0) > 10
    assert again.metrics.registry.get_sample_value("headwater_remembered_items") == 4
