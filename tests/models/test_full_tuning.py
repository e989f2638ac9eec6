from dataclasses import replace

import numpy as np
import pytest

from models.full_tuning import FullDeepPart
from models.learner import Learner, LearnerConfig
from models.ranker import Ranker, RankerConfig
from tests.models.planted import DIM, by_last_item, clustered_table, slates
from tests.models.test_ranker import F, speaking

TABLE = clustered_table()


@pytest.fixture(scope="module")
def full_config(ranker_config: RankerConfig) -> RankerConfig:
    return replace(ranker_config, full=True)


def taught(config: RankerConfig, *, batches: int) -> Learner:
    learner = Learner(config, LearnerConfig(deep_every=1), n_features=3, dim=DIM)
    for seed in range(batches):
        made = by_last_item(seed)
        learner.learn(made.batch, TABLE, gains=made.gains)
    return learner


def test_learning_and_serving_networks_agree_whatever_was_learnt(full_config: RankerConfig) -> None:
    """Every kind of weight of the backbone reaches the scoring copy: all offsets are set to noise."""
    ranker = speaking(Ranker(full_config, n_features=F, dim=DIM))
    batch = slates(3)
    view = ranker.view(batch)
    users = np.arange(len(batch))
    chosen = ranker.chosen(ranker.wide_scores(view))
    inputs = ranker.deep_inputs(batch, TABLE, view=view, users=users, chosen=chosen)
    assert isinstance(ranker.deep, FullDeepPart)
    learning = ranker.deep.forward(inputs).detach().numpy()
    np.testing.assert_allclose(ranker.deep.score(inputs), learning, atol=2e-4)
    offsets = [name for name in ranker.snapshot() if name.endswith(".delta")]
    assert any("attention" in name for name in offsets)
    assert any("intermediate" in name for name in offsets)
    assert any("LayerNorm" in name for name in offsets)


def test_every_layer_moves_and_the_adapter_does_not(full_config: RankerConfig) -> None:
    before = Ranker(full_config, n_features=3, dim=DIM).snapshot()
    after = taught(full_config, batches=6).ranker.snapshot()
    assert before.keys() == after.keys()
    assert not any("lora_" in name for name in after)
    for layer in ("layer.0", "layer.1"):
        moved = [np.abs(after[name]).max() for name in after if layer in name and name.endswith(".delta")]
        assert len(moved) == 16  # weights and biases of six products and two norms
        assert max(moved) > 0


def test_it_begins_as_the_pretrained_model(ranker_config: RankerConfig, full_config: RankerConfig) -> None:
    """With a head that speaks, and nothing learnt, LoRA and full tuning score the same."""
    scores = []
    for config in (ranker_config, full_config):
        ranker = Ranker(config, n_features=F, dim=DIM)
        arrays = ranker.snapshot()
        arrays["deep.heads"] = (
            np.random.default_rng(2).normal(0, 0.2, arrays["deep.heads"].shape).astype("f4")
        )
        ranker.restore(arrays)
        scores.append(ranker.score(slates(4), TABLE).total)
    np.testing.assert_allclose(scores[0], scores[1], rtol=1e-5)
    assert len({Ranker(c, n_features=F, dim=DIM).fingerprint() for c in (ranker_config, full_config)}) == 2


def test_a_snapshot_in_the_middle_leaves_the_same_bits(full_config: RankerConfig) -> None:
    whole = taught(full_config, batches=4)
    again = Learner(full_config, LearnerConfig(deep_every=1), n_features=3, dim=DIM)
    again.restore(taught(full_config, batches=2).snapshot())
    for seed in (2, 3):
        made = by_last_item(seed)
        again.learn(made.batch, TABLE, gains=made.gains)
    for name, array in whole.snapshot().items():
        np.testing.assert_array_equal(array, again.snapshot()[name], err_msg=name)
