import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from models import adapters
from models.backbone import add_lora, attend, load_backbone
from models.deep_config import DeepConfig
from models.learner import Learner, LearnerConfig
from models.ranker import RankerConfig
from models.replay import ReplayConfig
from models.twin import add_slow, anchored, follow, pairs
from tests.models.planted import DIM, by_last_item, clustered_table

TABLE = clustered_table()
OFTEN = LearnerConfig(replay=ReplayConfig(64, 64, 8), deep_every=1, deep_units=32)


@pytest.fixture
def twin_config(ranker_config: RankerConfig, deep_config: DeepConfig) -> RankerConfig:
    return dataclasses.replace(
        ranker_config, deep=dataclasses.replace(deep_config, twin=True, slow_decay=0.8)
    )


def taught(config: RankerConfig, *, batches: int) -> Learner:
    learner = Learner(config, OFTEN, n_features=3, dim=DIM)
    for number in range(batches):
        unit = by_last_item(number)
        learner.learn(unit.batch, TABLE, gains=unit.gains)
    return learner


def test_slow_adapter_follows_and_the_anchor_pulls_towards_it(tiny_backbone: str) -> None:
    torch.set_num_threads(1)
    model = add_lora(
        load_backbone(tiny_backbone, layers=2), name="tiny", rank=2, alpha=4, targets=("query",),
        generator=torch.Generator().manual_seed(0),
    )  # fmt: skip
    add_slow(model)
    assert anchored(model, weight=1.0).item() == 0.0
    fast, slow = pairs(model)[0]
    start = slow.detach().clone()
    with torch.no_grad():
        fast.add_(1.0)
    loss = anchored(model, weight=0.5)
    assert loss.item() == pytest.approx(0.25 * fast.numel())
    loss.backward()
    assert fast.grad is not None
    torch.testing.assert_close(fast.grad, torch.full_like(fast, 0.5))
    assert slow.grad is None
    follow(model, decay=0.75)
    torch.testing.assert_close(slow.detach(), start + 0.25)


def test_twins_learn_and_part_ways(twin_config: RankerConfig) -> None:
    learner = taught(twin_config, batches=40)
    assert learner.ranker.deep is not None
    apart = [(fast - slow).norm().item() for fast, slow in pairs(learner.ranker.deep.backbone)]
    assert max(apart) > 0
    fresh = by_last_item(5000, users=100)
    scores = learner.ranker.score(fresh.batch, TABLE).total
    assert (scores.argmax(1) == fresh.gains.argmax(1)).mean() > 0.3  # chance is 1 in 8


def test_share_of_the_slow_adapter_decides_what_scores(twin_config: RankerConfig) -> None:
    arrays = taught(twin_config, batches=8).ranker.snapshot()
    fresh = by_last_item(5000).batch
    scores = []
    for share in (0.0, 0.5, 1.0):
        assert twin_config.deep is not None
        config = dataclasses.replace(
            twin_config, deep=dataclasses.replace(twin_config.deep, slow_share=share)
        )
        ranker = Learner(config, OFTEN, n_features=3, dim=DIM).ranker
        ranker.restore(arrays)
        scores.append(ranker.score(fresh, TABLE).total)
    assert not np.allclose(scores[0], scores[1], atol=1e-7)
    assert not np.allclose(scores[1], scores[2], atol=1e-7)


def test_a_snapshot_in_the_middle_leaves_the_same_bits(twin_config: RankerConfig) -> None:
    whole, first = taught(twin_config, batches=4), taught(twin_config, batches=4)
    second = Learner(twin_config, OFTEN, n_features=3, dim=DIM)
    second.restore(first.snapshot())
    for number in range(4, 7):
        unit = by_last_item(number)
        for learner in (whole, second):
            learner.learn(unit.batch, TABLE, gains=unit.gains)
    one, two = whole.snapshot(), second.snapshot()
    assert any(".slow." in name for name in one)
    assert one.keys() == two.keys()
    assert all(np.array_equal(one[name], two[name]) for name in one)


def test_both_twins_travel_and_peft_loads_both(
    twin_config: RankerConfig, tiny_backbone: str, tmp_path: Path
) -> None:
    from peft import PeftModel

    ranker = taught(twin_config, batches=4).ranker
    adapters.save_adapter(ranker, tmp_path / "adapter", version="3")
    other = Learner(twin_config, OFTEN, n_features=3, dim=DIM).ranker
    assert adapters.load_adapter(other, tmp_path / "adapter") == "3"
    one, two = ranker.snapshot(), other.snapshot()
    assert all(np.array_equal(one[name], two[name]) for name in one)
    third = Learner(twin_config, OFTEN, n_features=3, dim=DIM).ranker
    adapters.apply(third, adapters.pack(ranker, version="3"))
    fresh = by_last_item(5000).batch
    np.testing.assert_allclose(third.score(fresh, TABLE).total, ranker.score(fresh, TABLE).total, atol=2e-3)

    loaded = PeftModel.from_pretrained(load_backbone(tiny_backbone, layers=2), tmp_path / "adapter")
    loaded.load_adapter(str(tmp_path / "adapter" / "slow"), "slow")
    assert ranker.deep is not None
    tokens = torch.randn(2, 7, 32, generator=torch.Generator().manual_seed(1))
    valid = torch.ones(2, 7, dtype=torch.bool)
    for name in ("default", "slow"):
        loaded.set_adapter(name)
        ranker.deep.backbone.set_adapter(name)
        torch.testing.assert_close(
            attend(loaded.eval(), tokens, valid=valid, history=5),
            attend(ranker.deep.backbone, tokens, valid=valid, history=5),
        )
