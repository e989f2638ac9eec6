"""A tiny transformer saved to disk once: the deep part loads it as it loads any Hugging Face encoder."""

import pytest
import torch

from models.deep_config import DeepConfig
from models.ranker import RankerConfig


@pytest.fixture(scope="session")
def tiny_backbone(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of a BERT of two layers and 32 dimensions with random weights."""
    from transformers import BertConfig, BertModel  # here: it takes seconds, and not every test needs it

    path = tmp_path_factory.mktemp("models") / "tiny-bert"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        shape = BertConfig(
            vocab_size=50,
            hidden_size=32,
            num_hidden_layers=3,
            num_attention_heads=4,
            intermediate_size=64,
            max_position_embeddings=64,
            initializer_range=0.15,
        )
        BertModel(shape).save_pretrained(path)
    return str(path)


@pytest.fixture(scope="session")
def deep_config(tiny_backbone: str) -> DeepConfig:
    """A deep part that a test can afford, in float32."""
    return DeepConfig(
        backbone=tiny_backbone,
        layers=2,
        history=5,
        candidates=10,
        id_buckets=64,
        id_dim=4,
        text_rank=8,
        lr=5e-3,
        dtype="float32",
        train_dtype="float32",
    )


@pytest.fixture(scope="session")
def ranker_config(deep_config: DeepConfig) -> RankerConfig:
    """Wide and tiny deep part."""
    return RankerConfig(wide_hidden=(16, 8), deep=deep_config, threads=1, device="cpu")


@pytest.fixture(scope="session")
def wide_config() -> RankerConfig:
    """The wide part alone."""
    return RankerConfig(wide_hidden=(32, 16), deep=None, threads=1)
