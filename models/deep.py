"""The deep part: a LoRA-adapted transformer that reads a user's history and candidates as soft tokens.

A history token is projection(text vector) + id part + event kind + time gap; a candidate token is the same
with projection(features) for kind and gap. One pass scores all candidates of a user at the cost of T + C
tokens. The heads start at zero, so that the deep part can only add what it has learnt.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from events.columns import Kind
from models.backbone import add_lora, attend, load_backbone, merge_lora, save_lora, serving_form
from models.batch import ItemTable, RankBatch
from models.deep_config import DeepConfig
from models.device import pick_device, pick_dtype, serving_dtype
from models.state import Arrays, check_arrays
from models.twin import SLOW, add_slow, anchored, follow

TASKS = ("click", "cart", "purchase")
_GAPS = 32  # log2 of seconds: 2**31 s is 68 years
_CANDIDATE = len(Kind)  # one more kind
_CHUNK = 64  # users in one pass


@dataclass(frozen=True, slots=True)
class DeepInputs:
    """What the deep part reads of B users: T history items, then K chosen candidates; S = T + K."""

    vectors: NDArray[np.float16]  # (B, S, D)
    buckets: NDArray[np.int64]  # (B, S, 2)
    kinds: NDArray[np.int64]  # (B, T)
    gaps: NDArray[np.int64]  # (B, T)
    features: NDArray[np.float32]  # (B, K, F) standardised
    valid: NDArray[np.bool_]  # (B, S)

    def take(self, rows: slice) -> "DeepInputs":
        """Some of the users."""
        return DeepInputs(
            self.vectors[rows], self.buckets[rows], self.kinds[rows], self.gaps[rows], self.features[rows],
            self.valid[rows],
        )  # fmt: skip


def deep_inputs(
    batch: RankBatch,
    *,
    table: ItemTable,
    users: NDArray[np.int64],
    chosen: NDArray[np.int64],
    features: NDArray[np.float32],
    config: DeepConfig,
) -> DeepInputs:
    """The tokens of some users of a batch.

    `users`: (n,) places in the batch; `chosen`: (n, K) columns of their candidates; `features`: (n, K, F)
    standardised. A history shorter than `config.history` is padded, a longer one cut.
    """
    width = min(config.history, batch.history.shape[1])
    history = np.zeros((len(users), config.history), np.int32)
    history[:, :width] = batch.history[users, :width]
    kinds = np.zeros(history.shape, np.int64)
    kinds[:, :width] = batch.history_kinds[users, :width]
    gaps = np.zeros(history.shape, np.int64)
    seconds = np.maximum(batch.history_ages_ms[users, :width], 0) / 1000.0
    gaps[:, :width] = np.minimum(np.log2(1.0 + seconds), _GAPS - 1)
    items = np.concatenate([history, batch.candidates[users[:, None], chosen]], axis=1)  # (n, S)
    hashes = table.hashes[items].view(np.uint64)
    buckets = np.stack([hashes % config.id_buckets, (hashes >> np.uint64(32)) % config.id_buckets], axis=2)
    return DeepInputs(table.vectors[items], buckets.astype(np.int64), kinds, gaps, features, items != 0)


class DeepNetwork(nn.Module):
    """Soft tokens → transformer → heads. `text_base` is fixed by the seed and never saved."""

    def __init__(self, backbone: Any, *, config: DeepConfig, n_features: int, dim: int, seed: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        hidden = int(backbone.config.hidden_size)
        self.history = config.history
        self.text_as_is = dim == hidden
        base = torch.eye(hidden) if self.text_as_is else _normal(generator, hidden, dim) / hidden**0.5
        self.text_base: Tensor
        self.register_buffer("text_base", base, persistent=False)
        self.text_down = nn.Parameter(_normal(generator, config.text_rank, dim) / dim**0.5)
        self.text_up = nn.Parameter(torch.zeros(hidden, config.text_rank))
        self.ids = nn.Parameter(torch.zeros(config.id_buckets, config.id_dim))
        self.ids_up = nn.Parameter(_normal(generator, hidden, config.id_dim) / config.id_dim**0.5)
        self.kinds = nn.Parameter(0.02 * _normal(generator, _CANDIDATE + 1, hidden))
        self.gaps = nn.Parameter(0.02 * _normal(generator, _GAPS, hidden))
        self.places = nn.Parameter(0.02 * _normal(generator, config.history, hidden))
        self.features_up = nn.Parameter(0.02 * _normal(generator, hidden, n_features) / n_features**0.5)
        self.heads = nn.Parameter(torch.zeros(1 + len(TASKS), 2 * hidden))
        self.heads_bias = nn.Parameter(torch.zeros(1 + len(TASKS)))
        self.backbone = backbone

    def forward(self, inputs: Sequence[Tensor], *, through: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """(B, K, 4) float32: the listwise score and a logit for each of TASKS.

        `inputs`: the fields of DeepInputs in order; `through`: what `attend` computes of (tokens, valid).
        """
        *parts, valid = inputs
        return self.read(self.tokens(*parts), valid, through=through)

    def read(self, tokens: Tensor, valid: Tensor, *, through: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """As `forward`, of the tokens (B, S, H)."""
        return self._read(through(tokens, valid), valid)

    def tokens(
        self, vectors: Tensor, buckets: Tensor, kinds: Tensor, gaps: Tensor, features: Tensor
    ) -> Tensor:
        """(B, S, H)."""
        dtype = self.text_down.dtype
        text = vectors.to(dtype)
        learnt = (text @ self.text_down.T) @ self.text_up.T  # (B, S, H)
        tokens = learnt + (text.to(learnt.dtype) if self.text_as_is else text @ self.text_base.to(dtype).T)
        ids = nn.functional.embedding(buckets[..., 0], self.ids) + nn.functional.embedding(
            buckets[..., 1], self.ids
        )
        tokens = tokens + ids @ self.ids_up.T
        context = nn.functional.embedding(kinds, self.kinds) + nn.functional.embedding(gaps, self.gaps)
        context = context + self.places
        described = features.to(dtype) @ self.features_up.T + self.kinds[_CANDIDATE]
        return tokens + torch.cat([context, described], dim=1).to(tokens.dtype)

    def _read(self, hidden: Tensor, valid: Tensor) -> Tensor:
        """(B, K, 4) of the last hidden states (B, S, H)."""
        length = self.history
        hidden = hidden.float()
        weights = valid[:, :length].unsqueeze(-1).float()
        user = (hidden[:, :length] * weights).sum(1) / weights.sum(1).clamp_min(1.0)  # (B, H)
        candidates = hidden[:, length:]  # (B, K, H)
        read = torch.cat([candidates, candidates * user[:, None]], dim=2)  # (B, K, 2H)
        with torch.autocast(device_type=read.device.type, enabled=False):
            return read @ self.heads.float().T + self.heads_bias.float()


class DeepPart:
    """The network that learns, and a merged copy of it in the compute dtype that scores."""

    def __init__(
        self, config: DeepConfig, *, n_features: int, dim: int, seed: int, device: str = "auto"
    ) -> None:
        self.config = config
        self._device = pick_device(device)
        self._train_dtype = pick_dtype(config.train_dtype, device=self._device)
        dtype, int8 = serving_dtype(config.dtype, device=self._device)
        plain = load_backbone(config.backbone, layers=config.layers)
        self._serving = DeepNetwork(plain, config=config, n_features=n_features, dim=dim, seed=seed)
        learning = copy.deepcopy(self._serving)
        learning.backbone = add_lora(
            learning.backbone,
            name=config.backbone,
            rank=config.lora_rank,
            alpha=config.lora_alpha,
            targets=config.lora_targets,
            generator=torch.Generator().manual_seed(seed),
        )
        if config.twin:
            add_slow(learning.backbone)
        self._learning = learning.to(self._device)
        self._serving = self._serving.to(device=self._device, dtype=dtype).requires_grad_(False)
        self._stale = True
        self._served = serving_form(self._serving.backbone, history=config.history, int8=int8)

    @property
    def backbone(self) -> Any:
        """The peft model."""
        return self._learning.backbone

    def parameters(self) -> Iterator[nn.Parameter]:
        """What learns by gradients, in a stable order."""
        return (parameter for _, parameter in self._named() if parameter.requires_grad)

    def _named(self) -> Iterator[tuple[str, nn.Parameter]]:
        """What learns by gradients or follows what does."""
        slow = f".{SLOW}."
        return ((n, p) for n, p in self._learning.named_parameters() if p.requires_grad or slow in n)

    def forward(self, inputs: DeepInputs) -> Tensor:
        """(B, K, 4) listwise score and task logits with autograd; after a step call `changed`."""
        return self.read(self.tokens(inputs), inputs)

    def tokens(self, inputs: DeepInputs) -> Tensor:
        """(B, S, H) soft tokens with autograd."""
        with self._autocast():
            *parts, _valid = self._tensors(inputs)
            return self._learning.tokens(*parts)

    def read(self, tokens: Tensor, inputs: DeepInputs) -> Tensor:
        """As `forward`, of the tokens (B, S, H) of `inputs`, or of others near them."""
        self._learning.eval()
        valid = torch.from_numpy(inputs.valid).to(self._device)
        with self._autocast():
            return self._learning.read(tokens, valid, through=self._attend)

    def anchored(self) -> Tensor:
        """() what the twin adapter adds to the loss; 0 without one."""
        if not self.config.twin:
            return torch.zeros(())
        return anchored(self._learning.backbone, weight=self.config.anchor)

    def stepped(self) -> None:
        """Say that the optimiser took a step: the twin adapter follows, and the scoring copy is old."""
        if self.config.twin:
            follow(self._learning.backbone, decay=self.config.slow_decay)
        self.changed()

    def _autocast(self) -> torch.autocast:
        narrow = self._train_dtype == torch.bfloat16
        return torch.autocast(device_type=self._device.type, dtype=torch.bfloat16, enabled=narrow)

    def changed(self) -> None:
        """Say that the learning network's weights are new; the scoring copy follows before its next use."""
        self._stale = True

    @torch.no_grad()
    def refresh(self) -> None:
        """Renew the scoring copy now, if it is old."""
        if not self._stale:
            return
        for name, parameter in self._named():
            if not name.startswith("backbone."):
                self._serving.get_parameter(name).copy_(parameter)
        slow_share = self.config.slow_share if self.config.twin else 0.0
        merged = merge_lora(self._learning.backbone, into=self._serving.backbone, slow_share=slow_share)
        self._served.renew(merged)
        self._stale = False

    @torch.inference_mode()
    def score(self, inputs: DeepInputs) -> NDArray[np.float32]:
        """(B, K, 4) float32: the listwise score, to be added to the wide score, and a logit for each task."""
        self.refresh()
        self._serving.eval()
        parts = [
            self._serving(self._tensors(inputs.take(slice(start, start + _CHUNK))), through=self._served)
            .cpu()
            .numpy()
            for start in range(0, len(inputs.valid), _CHUNK)
        ]
        empty = np.zeros((0, inputs.features.shape[1], 1 + len(TASKS)), np.float32)
        return np.concatenate([empty, *parts])

    def _attend(self, tokens: Tensor, valid: Tensor) -> Tensor:
        return attend(self._learning.backbone, tokens, valid=valid, history=self.config.history)

    def _tensors(self, inputs: DeepInputs) -> tuple[Tensor, ...]:
        arrays = (inputs.vectors, inputs.buckets, inputs.kinds, inputs.gaps, inputs.features, inputs.valid)
        return tuple(torch.from_numpy(array).to(self._device) for array in arrays)

    def snapshot(self) -> Arrays:
        """Everything that learns, float32, copied."""
        return {name: p.detach().cpu().numpy().copy() for name, p in self._named()}

    @torch.no_grad()
    def restore(self, arrays: Arrays) -> None:
        """Take `snapshot`'s arrays; InputError, and nothing changed, when they do not fit."""
        check_arrays(arrays, expected=self.snapshot())
        for name, parameter in self._named():
            parameter.copy_(torch.from_numpy(np.array(arrays[name])))
        self.changed()

    def save_lora(self, path: Path) -> None:
        """Write the LoRA adapter into the folder `path` in peft's format."""
        save_lora(self._learning.backbone, path)


def _normal(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator)
