"""The options' benchmark on a few events: units are the same for every option, and really scored."""

import json
from itertools import islice

import numpy as np
import pytest

from bench.errors import BenchError
from bench.machine import Machine
from bench.offline import Offline
from bench.options import OptionsConfig, run_options
from bench.options_catalogue import OPTIONS, chosen
from bench.recorded import record
from bench.shop import stream
from models.learner import Learner
from streams.building import learner_config, ranker_config
from streams.settings import Settings


@pytest.fixture(scope="module")
def settings() -> Settings:
    return Settings().updated(
        sources={"items": 4_096, "users": 1_024, "sessions": 2_048},
        serving={"candidates": 40, "deep_candidates": 20},
    )


def test_a_recorded_stream_teaches_what_the_stream_teaches(settings: Settings) -> None:
    wide = settings.updated(learner={"deep": False})
    live = Offline(wide)
    live.run(islice(stream(), 150))
    recording = record(islice(stream(), 150), settings=settings)
    learner = Learner(
        ranker_config(wide),
        learner_config(wide),
        n_features=recording.n_features,
        dim=recording.table.vectors.shape[1],
    )
    for step in recording.steps:
        learner.validate(step.batch, recording.table, gains=step.gains, relevant=step.relevant)
        learner.learn(step.batch, recording.table, gains=step.gains, labels=step.labels)
    one, two = live.learner.snapshot(), learner.snapshot()
    names = [name for name in one if name.startswith("ranker.")]
    assert names
    assert all(np.array_equal(one[name], two[name]) for name in names)


def test_options_are_measured_on_the_same_units(settings: Settings) -> None:
    config = OptionsConfig(events=200, only="int8", deep_units=4)
    report = json.loads(run_options(config, settings=settings, machine=Machine.describe()).to_json())
    base, int8 = report["details"]["rows"]
    assert (base["option"], int8["option"]) == ("base", "int8")
    assert base["wide_recall@20"] == int8["wide_recall@20"] > 0
    assert base["deep_steps"] == int8["deep_steps"] > 0
    for row in (base, int8):
        assert row["recall@20"] == pytest.approx(row["wide_recall@20"] + row["recall_gain"], abs=2e-4)
        assert row["step_ms"] > 0
        assert row["forward_ms"] > 0
    assert int8["loss"] == pytest.approx(base["loss"], abs=0.02)


def test_options_are_named_and_change_valid_settings() -> None:
    for option in OPTIONS.values():
        Settings().updated(**option.changes)
    with pytest.raises(BenchError, match="magic"):
        chosen("int8,magic")


@pytest.mark.parametrize("changes", [{"events": 10}, {"past": 0.0}, {"pretrain_steps": 0}])
def test_wrong_sizes_are_refused(changes: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="OptionsConfig"):
        OptionsConfig(**changes)
