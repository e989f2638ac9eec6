from pathlib import Path

import numpy as np
import pytest

from models.encoder import TextEncoder
from models.errors import ConfigError, DeviceError, ModelLoadError

TITLES = [
    "WHITE HANGING HEART T-LIGHT HOLDER",
    "heart shaped candle holder, white",
    "RED RETROSPOT LUNCH BAG",
    "",
    "lunch box with red dots",
    "   ",
]


@pytest.fixture(scope="module")
def encoder() -> TextEncoder:
    return TextEncoder(device="cpu", dtype="float32", threads=1)


def test_vectors_are_of_unit_length_and_blank_texts_are_zeros(encoder: TextEncoder) -> None:
    vectors = encoder.encode(TITLES)
    assert vectors.shape == (6, encoder.dim)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), [1, 1, 1, 0, 1, 0], atol=1e-5)
    assert encoder.encode([]).shape == (0, encoder.dim)


def test_texts_that_mean_the_same_are_near(encoder: TextEncoder) -> None:
    similarity = encoder.encode(TITLES) @ encoder.encode(TITLES).T
    assert similarity[0, 1] > similarity[0, 2] + 0.2
    assert similarity[2, 4] > similarity[2, 1] + 0.2


def test_batch_equals_single(encoder: TextEncoder) -> None:
    together = encoder.encode(TITLES)
    alone = np.concatenate([encoder.encode([title]) for title in TITLES])
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_equals_the_reference_implementation(encoder: TextEncoder) -> None:
    from sentence_transformers import SentenceTransformer

    from models.pretrained import DEFAULT_MODEL, model_path

    reference = SentenceTransformer(model_path(DEFAULT_MODEL), device="cpu")
    filled = [title for title in TITLES if title.strip()]
    np.testing.assert_allclose(encoder.encode(filled), reference.encode(filled), atol=1e-4)


def test_bfloat16_is_the_same_but_for_rounding(encoder: TextEncoder) -> None:
    narrow = TextEncoder(device="cpu", dtype="bfloat16")
    filled = [title for title in TITLES if title.strip()]
    cosine = (narrow.encode(filled) * encoder.encode(filled)).sum(1)
    assert cosine.min() > 0.999


def test_long_texts_are_cut(encoder: TextEncoder) -> None:
    assert np.isfinite(encoder.encode(["teapot " * 5_000])).all()


def test_a_model_that_is_not_there_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ModelLoadError, match=r"config\.json, model\.safetensors"):
        TextEncoder(str(tmp_path / "nothing"), device="cpu")


def test_wrong_settings_are_refused() -> None:
    import torch

    with pytest.raises(ConfigError, match="auto, cpu, cuda"):
        TextEncoder(device="tpu")
    with pytest.raises(ConfigError, match="auto, float32, bfloat16"):
        TextEncoder(device="cpu", dtype="int8")
    with pytest.raises(ConfigError, match="threads is 0"):
        TextEncoder(threads=0)
    if not torch.cuda.is_available():
        with pytest.raises(DeviceError, match="no GPU"):
            TextEncoder(device="cuda")
