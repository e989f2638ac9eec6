"""On a GPU the models compute what they compute on the CPU, and the same log gives the same weights there too."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.deep_config import DeepConfig
from models.encoder import TextEncoder
from models.learner import Learner, LearnerConfig
from models.prequential import PrequentialConfig
from models.pretrained import DEFAULT_MODEL
from models.ranker import Ranker, RankerConfig
from models.replay import ReplayConfig
from tests.models.planted import DIM, by_last_item, clustered_table, slates

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")

F = 6
TABLE = clustered_table()
LEARNER = LearnerConfig(
    replay=ReplayConfig(recent=64, reservoir=64, candidates=12),
    deep_every=1,
    prequential=PrequentialConfig(k=3, window=500, deep_sample_every=2),
)


def learnt(config: RankerConfig, *, batches: int) -> Learner:
    learner = Learner(config, LEARNER, n_features=F, dim=DIM)
    for number in range(batches):
        unit = by_last_item(number, features=F)
        learner.learn(unit.batch, TABLE, gains=unit.gains)
    return learner


def test_a_gpu_scores_what_the_cpu_scores(ranker_config: RankerConfig) -> None:
    host = learnt(ranker_config, batches=10).ranker
    device = Ranker(replace(ranker_config, device="cuda"), n_features=F, dim=DIM)
    device.restore(host.snapshot())
    one, two = host.score(slates(3), TABLE), device.score(slates(3), TABLE)
    assert np.abs(one.total - one.wide).max() > 0.01  # the transformer has something to say
    np.testing.assert_allclose(two.total, one.total, atol=1e-3)
    np.testing.assert_allclose(two.tasks, one.tasks, atol=1e-3)


@pytest.mark.parametrize("train_dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("shipped", [False, True], ids=["tiny", "shipped encoder"])
def test_the_same_log_gives_the_same_weights_on_a_gpu(
    ranker_config: RankerConfig, deep_config: DeepConfig, train_dtype: str, shipped: bool
) -> None:
    backbone = {"backbone": DEFAULT_MODEL} if shipped else {}
    deep = replace(deep_config, train_dtype=train_dtype, dtype="auto", **backbone)
    config = replace(ranker_config, deep=deep, device="cuda")
    one, two = (learnt(config, batches=12).snapshot() for _ in range(2))
    assert all(np.array_equal(one[name], two[name]) for name in one)
    fresh = Learner(config, LEARNER, n_features=F, dim=DIM).snapshot()
    assert any(not np.array_equal(fresh[name], one[name]) for name in one if name.startswith("ranker.deep."))


def test_learning_on_a_gpu_follows_learning_on_the_cpu(ranker_config: RankerConfig) -> None:
    one, two = (
        learnt(replace(ranker_config, device=device), batches=12).ranker.score(slates(4), TABLE)
        for device in ("cpu", "cuda")
    )
    np.testing.assert_allclose(two.total, one.total, atol=0.02)


def test_texts_are_encoded_alike() -> None:
    texts = ["white hanging heart t-light holder", "regency cakestand 3 tier", "jumbo bag red retrospot"]
    one, two = (TextEncoder(DEFAULT_MODEL, device=device).encode(texts) for device in ("cpu", "cuda"))
    assert (np.einsum("nd,nd->n", one.astype(np.float32), two.astype(np.float32)) > 0.999).all()
