"""Every option learns a planted signal, is a function of the log, and survives a snapshot."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from models.deep_config import DeepConfig
from models.errors import ConfigError
from models.learner import Learner, LearnerConfig
from models.ranker import RankerConfig
from models.replay import ReplayConfig
from models.slate_loss import LossConfig
from tests.models.planted import DIM, by_last_item, clustered_table

TABLE = clustered_table()
OFTEN = LearnerConfig(replay=ReplayConfig(64, 64, 8), deep_every=1, deep_units=32)
DEEP: dict[str, dict[str, Any]] = {
    "fgm": {"fgm_epsilon": 0.05},
    "augment": {"augment": ("mask", "reorder")},
    "int8": {"dtype": "int8"},
    "bfloat16-training": {"train_dtype": "bfloat16"},
    "one-layer": {"layers": 1},
}
LOSS = {"focal": LossConfig(focal_gamma=1.0), "balance": LossConfig(class_balance=0.99)}


def options(name: str, *, ranker: RankerConfig, deep: DeepConfig) -> tuple[RankerConfig, LearnerConfig]:
    if name in LOSS:
        return ranker, dataclasses.replace(OFTEN, loss=LOSS[name])
    return dataclasses.replace(ranker, deep=dataclasses.replace(deep, **DEEP[name])), OFTEN


def learn(learner: Learner, numbers: range) -> None:
    for number in numbers:
        unit = by_last_item(number)
        learner.learn(unit.batch, TABLE, gains=unit.gains)


@pytest.mark.parametrize("name", [*DEEP, *LOSS])
def test_option_learns_and_goes_on_from_a_snapshot_bit_for_bit(
    name: str, ranker_config: RankerConfig, deep_config: DeepConfig
) -> None:
    ranker, config = options(name, ranker=ranker_config, deep=deep_config)
    whole, part = (Learner(ranker, config, n_features=3, dim=DIM) for _ in range(2))
    learn(whole, range(40))
    fresh = by_last_item(5000, users=100)
    scores = whole.ranker.score(fresh.batch, TABLE).total
    assert (scores.argmax(1) == fresh.gains.argmax(1)).mean() > 0.5  # chance is 1 in 8
    learn(part, range(38))
    resumed = Learner(ranker, config, n_features=3, dim=DIM)
    resumed.restore(part.snapshot())
    learn(resumed, range(38, 40))
    one, two = whole.snapshot(), resumed.snapshot()
    assert one.keys() == two.keys()
    assert all(np.array_equal(one[array], two[array]) for array in one)


def test_int8_ranks_nearly_as_float32(ranker_config: RankerConfig, deep_config: DeepConfig) -> None:
    exact = Learner(ranker_config, OFTEN, n_features=3, dim=DIM)
    learn(exact, range(20))
    rounded, _ = options("int8", ranker=ranker_config, deep=deep_config)
    ranker = Learner(rounded, OFTEN, n_features=3, dim=DIM).ranker
    ranker.restore(exact.ranker.snapshot())
    fresh = by_last_item(5000, users=100).batch
    one, two = exact.ranker.score(fresh, TABLE), ranker.score(fresh, TABLE)
    adds, near = one.total - one.wide, two.total - two.wide
    assert np.corrcoef(adds.ravel(), near.ravel())[0, 1] > 0.995
    assert not np.array_equal(adds, near)


def test_no_task_weight_leaves_the_task_heads_as_they_were(ranker_config: RankerConfig) -> None:
    for weight, same in ((0.0, True), (0.2, False)):
        learner = Learner(
            ranker_config, dataclasses.replace(OFTEN, task_weight=weight), n_features=3, dim=DIM
        )
        before = learner.ranker.snapshot()["deep.heads_bias"]
        unit = by_last_item(1)
        labels = np.repeat(unit.gains[:, :, None], 3, axis=2)
        learner.learn(unit.batch, TABLE, gains=unit.gains, labels=labels)
        after = learner.ranker.snapshot()["deep.heads_bias"]
        assert np.array_equal(before[1:], after[1:]) == same


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dtype": "int4"}, "dtype"),
        ({"train_dtype": "int8"}, "dtype"),
    ],
)
def test_unknown_precisions_are_refused(
    changes: dict[str, str], message: str, ranker_config: RankerConfig, deep_config: DeepConfig
) -> None:
    config = dataclasses.replace(ranker_config, deep=dataclasses.replace(deep_config, **changes))  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=message):
        Learner(config, OFTEN, n_features=3, dim=DIM)


@pytest.mark.parametrize(
    "changes",
    [
        {"augment": ("flip",)},
        {"fgm_epsilon": -1.0},
        {"anchor": -1.0},
        {"slow_decay": 1.0},
        {"slow_share": 1.5},
    ],
)
def test_wrong_deep_options_say_what_is_allowed(changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(changes))):
        DeepConfig(**changes)
