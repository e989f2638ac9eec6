import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from models.contrastive import ContrastiveConfig, pretrain
from models.encoder import TextEncoder
from models.errors import ConfigError, InputError

COLOURS = ["red", "blue", "green", "white", "black", "pink"]
THINGS = ["mug", "lamp", "clock", "box"]
TEXTS = [f"{colour} {thing}" for colour in COLOURS for thing in THINGS]


@pytest.fixture(scope="module")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A BERT of one layer with a tokenizer of ten words."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    torch.set_num_threads(1)
    path = str(tmp_path_factory.mktemp("encoder"))
    words = {word: at for at, word in enumerate(["[PAD]", "[UNK]", *COLOURS, *THINGS])}
    plain = Tokenizer(WordLevel(words, unk_token="[UNK]"))
    plain.pre_tokenizer = Whitespace()  # type: ignore[assignment]
    PreTrainedTokenizerFast(tokenizer_object=plain, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(
        path
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        shape = BertConfig(
            vocab_size=len(words),
            hidden_size=32,
            num_hidden_layers=1,
            num_attention_heads=4,
            intermediate_size=64,
            max_position_embeddings=16,
            initializer_range=0.2,
        )
        BertModel(shape).save_pretrained(path)
    return path


@pytest.fixture
def config(tiny_encoder: str) -> ContrastiveConfig:
    return ContrastiveConfig(encoder=tiny_encoder, steps=60, batch=12, lr=5e-3, held_out=48, device="cpu")


def same_colour(n: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Pairs whose texts share their colour: what this shop's customers mean by similar."""
    rng = np.random.default_rng(0)
    colour = rng.integers(0, len(COLOURS), n)
    things = np.array([rng.choice(len(THINGS), 2, replace=False) for _ in range(n)])
    return (colour[:, None] * len(THINGS) + things).astype(np.int64)


def test_what_is_bought_together_comes_near(config: ContrastiveConfig, tmp_path: Path) -> None:
    trained = pretrain(TEXTS, pairs=same_colour(400), config=config)
    assert trained.loss_after < 0.7 * trained.loss_before
    trained.save(tmp_path / "encoder")
    after = TextEncoder(str(tmp_path / "encoder"), device="cpu", dtype="float32", threads=1).encode(TEXTS)
    before = TextEncoder(config.encoder, device="cpu", dtype="float32", threads=1).encode(TEXTS)

    def margin(vectors: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> float:
        near = vectors @ vectors.T
        colour = np.arange(len(TEXTS)) // len(THINGS)
        same = (colour[:, None] == colour[None, :]) & ~np.eye(len(TEXTS), dtype=bool)
        return float(near[same].mean() - near[colour[:, None] != colour[None, :]].mean())

    assert margin(after) > margin(before) + 0.1


def test_the_same_arguments_leave_the_same_weights(config: ContrastiveConfig) -> None:
    short = dataclasses.replace(config, steps=3)
    one, two = (pretrain(TEXTS, pairs=same_colour(100), config=short).model.state_dict() for _ in range(2))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_global_generator_is_left_alone(config: ContrastiveConfig) -> None:
    state = torch.get_rng_state()
    pretrain(TEXTS, pairs=same_colour(100), config=dataclasses.replace(config, steps=1))
    assert torch.equal(torch.get_rng_state(), state)


def test_too_few_pairs_are_refused(config: ContrastiveConfig) -> None:
    with pytest.raises(InputError, match="48"):
        pretrain(TEXTS, pairs=same_colour(48), config=config)


def test_an_encoder_is_never_overwritten(config: ContrastiveConfig, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    trained = pretrain(TEXTS, pairs=same_colour(60), config=dataclasses.replace(config, steps=1))
    with pytest.raises(ConfigError, match="not empty"):
        trained.save(tmp_path)


@pytest.mark.parametrize(
    "changes", [{"steps": 0}, {"batch": 1}, {"temperature": 0.0}, {"alone": 1.0}, {"lr": 2.0}]
)
def test_wrong_settings_say_what_is_allowed(changes: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(changes))):
        ContrastiveConfig(**changes)  # type: ignore[arg-type]
