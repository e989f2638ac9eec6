import pytest
import torch
from torch import Tensor

from models.fgm import with_adversary


def test_adversary_moves_each_user_by_epsilon_along_its_gradient() -> None:
    slope = torch.tensor([[[3.0, 4.0]], [[0.0, 2.0]]])  # (B, S, H): gradients of length 5 and 2
    tokens = torch.zeros(2, 1, 2, requires_grad=True)
    loss = with_adversary(lambda seen: (seen * slope).sum(), tokens, epsilon=0.5)
    assert loss.item() == pytest.approx((0.0 + 0.5 * (5.0 + 2.0)) / 2)


def test_an_adversarys_loss_is_higher_and_its_gradient_reaches_the_weights() -> None:
    generator = torch.Generator().manual_seed(1)
    weight = torch.randn(4, generator=generator).requires_grad_(True)
    tokens = torch.randn(3, 2, 4, generator=generator).requires_grad_(True)

    def loss_of(seen: Tensor) -> Tensor:
        return torch.nn.functional.softplus(seen @ weight).mean()

    plain = loss_of(tokens)
    robust = with_adversary(loss_of, tokens, epsilon=1.0)
    assert robust > plain
    (gradient,) = torch.autograd.grad(robust, weight)
    assert gradient.norm() > 0


def test_no_gradient_means_no_move() -> None:
    tokens = torch.ones(1, 1, 2, requires_grad=True)
    loss = with_adversary(lambda seen: (0.0 * seen).sum() + 1.0, tokens, epsilon=9.0)
    assert loss.item() == 1.0
