"""The wide part: a small MLP over the standardised features and their z-scores within the slate."""

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import linear

from models.device import cpu_multiplies_bfloat16
from models.features_scaler import SlateStatistics, Standardiser, wide_inputs
from models.state import Arrays, check_arrays

_LINEAR = torch.ops.mkldnn._linear_pointwise.default
_ROWS = 128  # oneDNN compiles a product for each number of rows that it meets: few numbers, all met soon


class WidePart:
    """Scores each candidate by its features; learns from the first hundred units.

    What scores is a running average of the weights that learn (Polyak and Juditsky 1992, Acceleration of
    stochastic approximation by averaging): single steps are noisy, and their mean is not.

    Always on the CPU: 200 candidates take about 0.15 ms of one thread, less than a copy to a device.
    """

    def __init__(self, n_features: int, *, hidden: tuple[int, ...], seed: int) -> None:
        self.n_features = n_features
        self.standardiser = Standardiser(n_features)
        generator = torch.Generator().manual_seed(seed)
        sizes = [2 * n_features, *hidden, 1]
        self._weights: list[nn.Parameter] = []
        self._biases: list[nn.Parameter] = []
        for at, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes)):
            last = at == len(sizes) - 2
            bound = 0.01 if last else (6.0 / fan_in) ** 0.5  # He et al. (2015); the last nearly silent
            weight = torch.empty(fan_out, fan_in).uniform_(-bound, bound, generator=generator)
            self._weights.append(nn.Parameter(weight))
            self._biases.append(nn.Parameter(torch.zeros(fan_out)))
        self._packs = torch.backends.mkldnn.is_available() and cpu_multiplies_bfloat16()  # type: ignore[no-untyped-call]
        self._packed: list[tuple[Tensor, Tensor]] = []  # none: to be packed anew
        self._averages = np.zeros((), np.int64)  # taken so far
        self._mean_weights = [weight.detach().clone() for weight in self._weights]
        self._mean_biases = [bias.detach().clone() for bias in self._biases]

    def parameters(self) -> Iterator[nn.Parameter]:
        """In a stable order."""
        yield from self._weights
        yield from self._biases

    def inputs(
        self, features: NDArray[np.float32], *, valid: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float32], SlateStatistics]:
        """(R, 2F) inputs of the R valid candidates of (B, C, F) features; InputError if not finite."""
        return wide_inputs(features, valid=valid, standardiser=self.standardiser)

    def forward(self, inputs: Tensor) -> Tensor:
        """(R,) scores of (R, 2F) inputs by the weights that learn, for training."""
        return _forward(inputs, self._weights, self._biases)

    @torch.no_grad()
    def average(self, decay: float) -> None:
        """Move the averaged weights towards the present ones by 1 - decay, faster while there are few."""
        taken = int(self._averages)
        share = 1.0 - min(decay, (1.0 + taken) / (10.0 + taken))
        self._averages = np.asarray(taken + 1, np.int64)
        for mean, now in zip(self._mean_weights + self._mean_biases, self.parameters(), strict=True):
            mean.lerp_(now, share)
        self._packed = []

    def score_rows(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """(R,) float32 scores of finite (R, 2F) inputs by the averaged weights, which autograd does not follow.

        Where the CPU multiplies bfloat16, the hidden layers do, which takes half the time; scores then differ
        from float32's by about a hundredth of their spread.
        """
        if self._packs and len(inputs):
            padded = np.zeros((-(-len(inputs) // _ROWS) * _ROWS, inputs.shape[1]), np.uint16)
            _round_to_bfloat16(inputs, padded)
            hidden = torch.from_numpy(padded).view(torch.bfloat16)
            for weight, half_bias in self._packed_layers():
                hidden = _LINEAR(hidden, weight, half_bias, "relu", [], "")
            hidden = hidden[: len(inputs)].float()  # (R, H)
            last = linear(hidden, self._mean_weights[-1], self._mean_biases[-1])
            scores: NDArray[np.float32] = last.squeeze(1).numpy()
            return scores
        return self.score_rows_in_float32(inputs)

    @torch.no_grad()
    def score_rows_in_float32(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """As `score_rows`, and not finite where the weights overflow: the bfloat16 layers' relu takes NaN for 0."""
        scores: NDArray[np.float32] = _forward(
            torch.from_numpy(inputs), self._mean_weights, self._mean_biases
        ).numpy()
        return scores

    def _packed_layers(self) -> list[tuple[Tensor, Tensor]]:
        """The hidden layers' averaged weights as oneDNN blocks them, packed again after they changed."""
        if not self._packed:
            self._packed = [
                (torch.ops.mkldnn._reorder_linear_weight(weight.bfloat16()), bias.bfloat16())
                for weight, bias in zip(self._mean_weights[:-1], self._mean_biases[:-1], strict=True)
            ]
        return self._packed

    def attributions(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """(R, F) float32: what each feature adds to each score of `score_rows`, as gradient x input.

        Both forms of a feature count together. Shrikumar et al. (2016), Not just a black box.
        """
        at = torch.from_numpy(inputs).clone().requires_grad_(True)
        scores = _forward(at, self._mean_weights, self._mean_biases)
        (gradient,) = torch.autograd.grad(scores.sum(), at)
        products: NDArray[np.float32] = (gradient * at).detach().numpy()
        return products[:, : self.n_features] + products[:, self.n_features :]

    def snapshot(self) -> Arrays:
        """Weights and the standardiser's statistics, copied."""
        arrays: Arrays = {
            "scaler.rows": self.standardiser.rows.copy(),
            "scaler.mean": self.standardiser.mean.copy(),
            "scaler.variance": self.standardiser.variance.copy(),
        }
        for at, (weight, bias) in enumerate(zip(self._weights, self._biases, strict=True)):
            arrays[f"layer{at}.weight"] = weight.detach().numpy().copy()
            arrays[f"layer{at}.bias"] = bias.detach().numpy().copy()
            arrays[f"mean{at}.weight"] = self._mean_weights[at].numpy().copy()
            arrays[f"mean{at}.bias"] = self._mean_biases[at].numpy().copy()
        arrays["averages"] = self._averages.copy()
        return arrays

    @torch.no_grad()
    def restore(self, arrays: Arrays) -> None:
        """Take `snapshot`'s arrays; InputError, and nothing changed, when they do not fit."""
        check_arrays(arrays, expected=self.snapshot())
        self.standardiser.rows = arrays["scaler.rows"].astype(np.float64)
        self.standardiser.mean = arrays["scaler.mean"].astype(np.float64)
        self.standardiser.variance = arrays["scaler.variance"].astype(np.float64)
        for at, (weight, bias) in enumerate(zip(self._weights, self._biases, strict=True)):
            weight.copy_(torch.from_numpy(arrays[f"layer{at}.weight"].copy()))
            bias.copy_(torch.from_numpy(arrays[f"layer{at}.bias"].copy()))
            self._mean_weights[at].copy_(torch.from_numpy(arrays[f"mean{at}.weight"].copy()))
            self._mean_biases[at].copy_(torch.from_numpy(arrays[f"mean{at}.bias"].copy()))
        self._averages = arrays["averages"].astype(np.int64)
        self._packed = []


def _forward(inputs: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor]) -> Tensor:
    """(R,) scores of (R, 2F) inputs."""
    hidden = inputs
    for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
        hidden = torch.relu(linear(hidden, weight, bias))  # (R, H)
    return linear(hidden, weights[-1], biases[-1]).squeeze(1)


@njit(nogil=True, cache=True)
def _round_to_bfloat16(values: NDArray[np.float32], bits: NDArray[np.uint16]) -> None:
    """Fill the first R rows of `bits` with the bfloat16s nearest to finite `values` (R, K), ties to even, as torch
    rounds; its zeros and copy take several times as long in a worker whose caches others have used meanwhile."""
    words = values.view(np.uint32)
    for r in range(words.shape[0]):
        for k in range(words.shape[1]):
            word = words[r, k]
            bits[r, k] = (word + np.uint32(0x7FFF) + ((word >> np.uint32(16)) & np.uint32(1))) >> np.uint32(
                16
            )
