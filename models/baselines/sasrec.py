"""SASRec: a causal transformer over item ids, next item by full softmax."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from models.device import set_threads


@dataclass(frozen=True, slots=True)
class SasRecConfig:
    """The network and one round of training."""

    width: int = 64
    blocks: int = 2
    heads: int = 2
    length: int = 50  # the latest items that are read
    dropout: float = 0.3
    learning_rate: float = 1e-3
    batch: int = 64
    negatives: int = 2048  # items drawn that stand for all that are not an answer in the batch

    def __post_init__(self) -> None:
        for name in ("width", "blocks", "heads", "length", "learning_rate", "batch", "negatives"):
            if not getattr(self, name) > 0:
                raise ValueError(f"SasRecConfig.{name} is {getattr(self, name)}; it must be above 0")
        if self.width % self.heads:
            raise ValueError(
                f"SasRecConfig.width is {self.width}; it must be a multiple of heads {self.heads}"
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"SasRecConfig.dropout is {self.dropout}; it must be in [0, 1)")


class SasRec(nn.Module):
    """The network of Kang & McAuley, "Self-Attentive Sequential Recommendation" (ICDM 2018).

    Item plus learned place vectors, `blocks` pre-norm blocks of causal self-attention and a pointwise
    feed-forward of the same width, and the items' own vectors as the output layer. Item 0 is padding, so that
    codes here are 1 to n_items. Places are counted from the end: the latest item always has the same one.
    """

    def __init__(self, *, n_items: int, config: SasRecConfig) -> None:
        super().__init__()
        self.config = config
        self.items = nn.Embedding(n_items + 1, config.width, padding_idx=0)
        self.places = nn.Embedding(config.length, config.width)
        nn.init.normal_(self.items.weight, std=0.02)
        nn.init.normal_(self.places.weight, std=0.02)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(
                config.width, config.heads, config.width, config.dropout, batch_first=True, norm_first=True
            )
            for _ in range(config.blocks)
        )
        self.norm = nn.LayerNorm(config.width)
        self.drop = nn.Dropout(config.dropout)

    def forward(self, history: Tensor) -> Tensor:
        """(B, T, D) what the sequence up to each place asks for. `history`: (B, T) int64, right-aligned, 0 pads.

        T is at most the configured length.
        """
        t = history.shape[1]
        ago = torch.arange(t - 1, -1, -1, device=history.device)  # (T,)
        x = self.drop(self.items(history) * self.config.width**0.5 + self.places(ago))  # (B, T, D)
        ahead = torch.ones(t, t, dtype=torch.bool, device=history.device).triu(
            1
        )  # (T, T) True: not to be seen
        padded = history == 0  # (B, T)
        # Each place sees itself even where it is padding, so that no row of the attention is empty.
        hidden = ahead.unsqueeze(0) | (padded.unsqueeze(1) & ~torch.eye(t, dtype=torch.bool, device=x.device))
        hidden = hidden.repeat_interleave(self.config.heads, dim=0)  # (B * heads, T, T)
        for block in self.blocks:
            x = block(x, src_mask=hidden)
        return self.norm(x)  # type: ignore[no-any-return]

    def best(self, history: NDArray[np.int64], *, k: int, known: NDArray[np.int64]) -> NDArray[np.int64]:
        """The up to k best items of `known` after `history`: (<= k,) int64.

        `history`: (T >= 1,) int64, latest last; `known`: (K,) int64 the codes that may be proposed.
        """
        self.eval()
        allowed = torch.from_numpy(known)
        with torch.inference_mode():
            asked = self(torch.from_numpy(history[-self.config.length :]).unsqueeze(0))[0, -1]  # (D,)
            scores = F.embedding(allowed, self.items.weight) @ asked  # (K,)
            best: NDArray[np.int64] = allowed[scores.topk(min(k, len(known))).indices].numpy()
        return best


class SasRecTrainer:
    """Trains a SasRec by Adam on sequences, one pass at a time.

    The loss is the softmax over the items that the sequences hold, in place of the paper's one uniform negative
    with binary cross-entropy, with which SASRec trails (Klenitskiy & Vasilev, "Turning Dross Into Gold Loss",
    RecSys 2023). It is exact up to `negatives` items; beyond, the batch's answers are there and of the others
    a uniform draw, weighed up to stand for all. `bench.sasrec_check` compares it with published figures on their
    data; tests check that it learns a planted order and reaches the best possible on a chain of known chances.
    """

    def __init__(self, *, n_items: int, config: SasRecConfig, seed: int) -> None:
        set_threads(1)  # threads wait for one another over products this small
        self.config = config
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.model = SasRec(n_items=n_items, config=config)
        self._optimiser = torch.optim.Adam(
            self.model.parameters(), lr=config.learning_rate, betas=(0.9, 0.98)
        )
        self._rng = np.random.default_rng(seed)

    def one_pass(self, sequences: list[NDArray[np.int64]]) -> float:
        """The mean loss per prediction of one pass over `sequences`, each (n >= 2,) int64 codes from 1."""
        if not sequences:
            return 0.0
        held = np.unique(np.concatenate(sequences))  # (H,)
        total, predictions = 0.0, 0
        order = self._rng.permutation(len(sequences))
        order = order[np.argsort(np.array([len(sequences[i]) for i in order]) // 8, kind="stable")]
        batches = [order[at : at + self.config.batch] for at in range(0, len(order), self.config.batch)]
        self.model.train()
        for index in self._rng.permutation(len(batches)):
            batch = [sequences[i] for i in batches[index]]
            loss, n = self._step(batch, held=held)
            total += loss * n
            predictions += n
        return total / max(predictions, 1)

    def _step(self, sequences: list[NDArray[np.int64]], *, held: NDArray[np.int64]) -> tuple[float, int]:
        t = min(max(len(s) for s in sequences) - 1, self.config.length)
        window = np.zeros((len(sequences), t + 1), np.int64)  # (B, T + 1)
        for row, sequence in zip(window, sequences, strict=True):
            kept = sequence[-(t + 1) :]
            row[-len(kept) :] = kept
        real = window[:, :-1] > 0  # (B, T)
        against, answer, log_weight = self._catalogue(window[:, 1:][real], held=held)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(self._rng.integers(1 << 30)))  # dropout
            asked = self.model(torch.from_numpy(window[:, :-1]))[torch.from_numpy(real)]  # (P, D)
        logits = asked @ self.model.items(torch.from_numpy(against)).T + torch.from_numpy(
            log_weight
        )  # (P, S)
        loss = F.cross_entropy(logits, torch.from_numpy(answer))
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        return float(loss.detach()), len(answer)

    def _catalogue(
        self, truth: NDArray[np.int64], *, held: NDArray[np.int64]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
        """The items of the softmax (S,) int64, where among them each truth (P,) is, and log weights (S,) float32."""
        answers, answer = np.unique(truth, return_inverse=True)
        others = np.setdiff1d(held, answers, assume_unique=True)
        drawn = others
        if len(others) > self.config.negatives:
            drawn = self._rng.choice(others, self.config.negatives, replace=False)
        log_weight = np.zeros(len(answers) + len(drawn), np.float32)
        if len(drawn):
            log_weight[len(answers) :] = np.log(len(others) / len(drawn))
        return np.concatenate([answers, drawn]), answer.astype(np.int64), log_weight
