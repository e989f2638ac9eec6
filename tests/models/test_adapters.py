import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from models.adapters import RECORD_LIMIT, apply, load_adapter, pack, save_adapter
from models.backbone import attend, load_backbone
from models.deep_config import DeepConfig
from models.errors import AdapterError
from models.learner import Learner, LearnerConfig
from models.pretrained import load_encoder
from models.ranker import Ranker, RankerConfig
from tests.models.planted import DIM, by_last_item, clustered_table

F = 3
TABLE = clustered_table()


@pytest.fixture(scope="module")
def trained(ranker_config: RankerConfig) -> Ranker:
    learner = Learner(ranker_config, LearnerConfig(deep_every=1), n_features=F, dim=DIM)
    for unit in map(by_last_item, range(8)):
        learner.learn(unit.batch, TABLE, gains=unit.gains)
    return learner.ranker


def fresh(ranker_config: RankerConfig, *, schema: str = "") -> Ranker:
    return Ranker(ranker_config, n_features=F, dim=DIM, schema=schema)


def test_a_record_carries_the_scores_over(trained: Ranker, ranker_config: RankerConfig) -> None:
    other, batch = fresh(ranker_config), by_last_item(99).batch
    sent, untaught = trained.score(batch, TABLE), other.score(batch, TABLE)
    record = pack(trained, version="7")
    assert apply(other, record) == "7"
    received = other.score(batch, TABLE)
    np.testing.assert_array_equal(received.wide, sent.wide)
    np.testing.assert_allclose(received.total, sent.total, atol=0.01)
    assert np.abs(untaught.total - sent.total).max() > 0.1


def test_the_default_ranker_fits_in_a_record_even_when_every_weight_is_in_use() -> None:
    ranker = Ranker(RankerConfig(), n_features=80, dim=384)
    rng = np.random.default_rng(1)
    arrays = {name: rng.normal(0, 0.1, a.shape).astype(a.dtype) for name, a in ranker.snapshot().items()}
    ranker.restore(arrays)
    assert len(pack(ranker, version="1")) < RECORD_LIMIT


def test_a_record_that_would_be_too_large_is_not_made(deep_config: DeepConfig) -> None:
    deep = dataclasses.replace(deep_config, id_buckets=40_000, id_dim=32)
    ranker = Ranker(RankerConfig(deep=deep, device="cpu"), n_features=F, dim=DIM)
    arrays = ranker.snapshot()
    arrays["deep.ids"] = np.random.default_rng(1).normal(size=(40_000, 32)).astype(np.float32)
    ranker.restore(arrays)
    with pytest.raises(AdapterError, match="id_buckets"):
        pack(ranker, version="1")


@pytest.mark.parametrize("place", [0, 5, 40, 60, 300, -1])
def test_a_damaged_record_changes_nothing(place: int, trained: Ranker, ranker_config: RankerConfig) -> None:
    record = bytearray(pack(trained, version="7"))
    record[place] ^= 0x40
    check_refused(bytes(record), ranker_config, match="adapter record")


@pytest.mark.parametrize("length", [0, 3, 39, 200])
def test_a_cut_record_changes_nothing(length: int, trained: Ranker, ranker_config: RankerConfig) -> None:
    check_refused(pack(trained, version="7")[:length], ranker_config, match="adapter record")


def test_weights_that_are_not_finite_are_refused(trained: Ranker, ranker_config: RankerConfig) -> None:
    sick = fresh(ranker_config)
    sick.restore(trained.snapshot())
    with torch.no_grad():
        next(sick.wide.parameters())[0, 0] = float("nan")
    check_refused(pack(sick, version="8"), ranker_config, match="not finite")


def test_a_record_for_another_ranker_is_refused(trained: Ranker, ranker_config: RankerConfig) -> None:
    other_features = fresh(ranker_config, schema="other features")
    before = other_features.snapshot()
    with pytest.raises(AdapterError, match="was made for the ranker"):
        apply(other_features, pack(trained, version="7"))
    for name, array in other_features.snapshot().items():
        np.testing.assert_array_equal(array, before[name])


def check_refused(record: bytes, config: RankerConfig, *, match: str) -> None:
    ranker = fresh(config)
    before = ranker.snapshot()
    with pytest.raises(AdapterError, match=match):
        apply(ranker, record)
    for name, array in ranker.snapshot().items():
        np.testing.assert_array_equal(array, before[name])


def test_a_saved_adapter_loads_bit_for_bit(
    trained: Ranker, ranker_config: RankerConfig, tmp_path: Path
) -> None:
    save_adapter(trained, tmp_path / "adapter", version="12")
    other = fresh(ranker_config)
    assert load_adapter(other, tmp_path / "adapter") == "12"
    for name, array in trained.snapshot().items():
        np.testing.assert_array_equal(other.snapshot()[name], array)
    assert not list(tmp_path.glob(".*"))
    with pytest.raises(AdapterError, match="exists"):
        save_adapter(trained, tmp_path / "adapter", version="13")


def test_peft_loads_the_saved_adapter_and_computes_the_same(
    trained: Ranker, deep_config: DeepConfig, tmp_path: Path
) -> None:
    from peft import PeftModel

    save_adapter(trained, tmp_path / "adapter", version="12")
    assert trained.deep
    tokens = torch.randn(2, 9, 32, generator=torch.Generator().manual_seed(1))
    valid = torch.ones(2, 9, dtype=torch.bool)
    plain = load_backbone(deep_config.backbone, layers=2)
    with torch.inference_mode():
        ours = attend(trained.deep.backbone, tokens, valid=valid, history=5)
        without = attend(plain, tokens, valid=valid, history=5)
        backbone = load_encoder(deep_config.backbone, layers=2)
        theirs = attend(
            PeftModel.from_pretrained(backbone, str(tmp_path / "adapter")), tokens, valid=valid, history=5
        )
    torch.testing.assert_close(theirs, ours, rtol=0, atol=1e-6)
    assert (without - ours).abs().max() > 1e-4
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == deep_config.backbone


def test_a_damaged_folder_changes_nothing(
    trained: Ranker, ranker_config: RankerConfig, tmp_path: Path
) -> None:
    save_adapter(trained, tmp_path / "adapter", version="12")
    (tmp_path / "adapter" / "headwater.safetensors").write_bytes(b"no tensors")
    ranker = fresh(ranker_config)
    before = ranker.snapshot()
    with pytest.raises(AdapterError, match="cannot read"):
        load_adapter(ranker, tmp_path / "adapter")
    with pytest.raises(AdapterError, match="cannot read"):
        load_adapter(ranker, tmp_path / "nowhere")
    for name, array in ranker.snapshot().items():
        np.testing.assert_array_equal(array, before[name])


def test_a_wide_ranker_travels_too(wide_config: RankerConfig, tmp_path: Path) -> None:
    ranker = Ranker(wide_config, n_features=F, dim=DIM)
    other = Ranker(dataclasses.replace(wide_config, seed=77), n_features=F, dim=DIM)
    assert apply(other, pack(ranker, version="a")) == "a"
    save_adapter(ranker, tmp_path / "wide", version="b")
    assert load_adapter(other, tmp_path / "wide") == "b"
    for name, array in ranker.snapshot().items():
        np.testing.assert_array_equal(other.snapshot()[name], array)
