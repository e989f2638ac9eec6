"""In-domain contrastive pre-training of the text encoder: texts bought together come near each other.

van den Oord et al. (2018) for the loss, InfoNCE; Gao et al. (2021), SimCSE, for pairs of a text with itself under
another dropout mask. Only a LoRA adapter learns; the encoder that is saved has it merged in.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from models.device import pick_device, set_threads
from models.encoder import mean_pooled
from models.errors import ConfigError, InputError
from models.pretrained import DEFAULT_MODEL, load_encoder, load_tokenizer

_PADDING = -1e9


@dataclass(frozen=True, slots=True)
class ContrastiveConfig:
    """How long and on what the encoder is trained."""

    encoder: str = DEFAULT_MODEL
    steps: int = 200
    batch: int = 48  # pairs of a step; the other pairs' texts are the negatives
    alone: float = 0.25  # share of the pairs that are a catalogue text with itself
    lr: float = 5e-4
    temperature: float = 0.05
    lora_rank: int = 8
    max_tokens: int = 32
    held_out: int = 192  # pairs kept for the before and after
    seed: int = 7
    threads: int | None = 1
    device: str = "auto"

    def __post_init__(self) -> None:
        for name in ("steps", "lora_rank", "held_out"):
            if getattr(self, name) < 1:
                raise ConfigError(f"ContrastiveConfig.{name} is {getattr(self, name)}; it must be at least 1")
        if self.batch < 2 or self.max_tokens < 3 or not 0 <= self.alone < 1:
            raise ConfigError(
                f"ContrastiveConfig needs batch >= 2 (got {self.batch}), max_tokens >= 3 (got "
                f"{self.max_tokens}) and 0 <= alone < 1 (got {self.alone})"
            )
        if not 0 < self.lr < 1 or not self.temperature > 0:
            raise ConfigError(
                f"ContrastiveConfig needs 0 < lr < 1 (got {self.lr}), temperature > 0 (got {self.temperature})"
            )


@dataclass(frozen=True, slots=True)
class Pretrained:
    """A trained encoder in memory, and what it learnt: losses of pairs that it was not trained on."""

    model: Any
    tokenizer: Any
    config: ContrastiveConfig
    loss_before: float
    loss_after: float

    def save(self, folder: Path) -> None:
        """Write it as a Hugging Face encoder, which `learner.encoder` may name; ConfigError if there is one."""
        if folder.exists() and any(folder.iterdir()):
            raise ConfigError(f"{folder} is not empty; a pre-trained encoder is never overwritten")
        self.model.save_pretrained(str(folder))
        self.tokenizer.save_pretrained(str(folder))
        told = {**asdict(self.config), "loss_before": self.loss_before, "loss_after": self.loss_after}
        (folder / "pretraining.json").write_text(json.dumps(told, indent=2) + "\n")


def pretrain(
    texts: Sequence[str],
    *,
    pairs: NDArray[np.int64],
    config: ContrastiveConfig,
    seen: Callable[[int, float], None] = lambda _step, _loss: None,
) -> Pretrained:
    """Train on `pairs` (P, 2) of places in `texts`; `seen` is told each step and its loss.

    The last `held_out` pairs are kept apart: give them in order of time. The same arguments leave the same
    weights on one machine. InputError where there are too few pairs.
    """
    if len(pairs) <= config.held_out or pairs.ndim != 2 or pairs.shape[1] != 2:
        raise InputError(
            f"pairs are {pairs.shape}; there must be more than {config.held_out}, of two texts each"
        )
    set_threads(config.threads)
    trainer = _Trainer(texts, config=config)
    train, test = pairs[: -config.held_out], pairs[-config.held_out :]
    before = trainer.loss(test)
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)  # of the dropout, which takes its chance from the global generator
        for step in range(config.steps):
            seen(step + 1, trainer.step(train))
    after = trainer.loss(test)
    return Pretrained(trainer.model.merge_and_unload(), trainer.tokenizer, config, before, after)


class _Trainer:
    def __init__(self, texts: Sequence[str], *, config: ContrastiveConfig) -> None:
        from peft import LoraConfig, get_peft_model

        self._texts = texts
        self._config = config
        self._device = pick_device(config.device)
        self._rng = np.random.default_rng(config.seed)
        self.tokenizer = load_tokenizer(config.encoder)
        lora = LoraConfig(
            r=config.lora_rank, lora_alpha=2 * config.lora_rank, target_modules="all-linear", bias="none"
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            self.model: Any = get_peft_model(load_encoder(config.encoder), lora).to(self._device)
        learnt = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self._optimiser = torch.optim.AdamW(learnt, lr=config.lr, weight_decay=1e-4)

    def step(self, pairs: NDArray[np.int64]) -> float:
        """One step on a random batch; its loss."""
        alone = round(self._config.alone * self._config.batch)
        drawn = pairs[self._rng.integers(0, len(pairs), self._config.batch - alone)]
        itself = self._rng.integers(0, len(self._texts), alone)
        batch = np.concatenate([drawn, np.stack([itself, itself], axis=1)])
        self.model.train()
        loss = self._info_nce(batch)
        self._optimiser.zero_grad()
        torch.autograd.backward(loss)
        self._optimiser.step()
        return float(loss.detach())

    @torch.no_grad()
    def loss(self, pairs: NDArray[np.int64]) -> float:
        """The mean loss of `pairs`, in batches, without dropout."""
        self.model.eval()
        size = self._config.batch
        whole = [pairs[start : start + size] for start in range(0, len(pairs), size)]
        return float(np.mean([float(self._info_nce(part)) for part in whole if len(part) > 1]))

    def _info_nce(self, pairs: NDArray[np.int64]) -> Tensor:
        """() of (n, 2) pairs, both ways; the same text elsewhere in the batch is no negative."""
        n = len(pairs)
        vectors = self._vectors([self._texts[at] for at in pairs.T.ravel().tolist()])  # (2n, D)
        scores = vectors[:n] @ vectors[n:].T / self._config.temperature  # (n, n)
        left, right = (torch.from_numpy(side.copy()).to(self._device) for side in pairs.T)
        own = torch.eye(n, dtype=torch.bool, device=self._device)
        right_again = (right[:, None] == right[None, :]) | (left[:, None] == right[None, :])
        left_again = (left[:, None] == left[None, :]) | (right[:, None] == left[None, :])
        target = torch.arange(n, device=self._device)
        there = cross_entropy(scores.masked_fill(right_again & ~own, _PADDING), target)
        back = cross_entropy(scores.T.masked_fill(left_again & ~own, _PADDING), target)
        return (there + back) / 2

    def _vectors(self, texts: list[str]) -> Tensor:
        tokens = self.tokenizer(
            texts, padding="longest", truncation=True, max_length=self._config.max_tokens, return_tensors="pt"
        ).to(self._device)
        hidden = self.model(**tokens).last_hidden_state.float()
        return normalize(mean_pooled(hidden, tokens["attention_mask"]), dim=1)
