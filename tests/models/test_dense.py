from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch.nn.functional import gelu, linear

from models.dense import Dense, Int8Dense, Product


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("rows", [1, 48, 200])
def test_dense_equals_linear_of_each_module(rows: int, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(rows)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        modules = [nn.Linear(64, 48).to(dtype).requires_grad_(False) for _ in range(3)]
    x = torch.randn(2, rows, 64, generator=generator).to(dtype)
    with torch.inference_mode():
        apart = torch.cat([linear(x, module.weight, module.bias) for module in modules], dim=2)
        near = 1e-5 if dtype == torch.float32 else 2e-2
        torch.testing.assert_close(Dense(modules)(x), apart, rtol=near, atol=near)
        torch.testing.assert_close(Dense(modules, then_gelu=True)(x), gelu(apart), rtol=near, atol=near)


def test_dense_keeps_its_weights_when_others_are_overwritten() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(6)
        module, other = (nn.Linear(8, 8).to(torch.bfloat16).requires_grad_(False) for _ in range(2))
    x = torch.ones(1, 8, dtype=torch.bfloat16)
    dense = Dense([module])
    before = dense(x)
    module.weight.copy_(module.weight + 1.0)
    dense.renew([other])
    assert torch.equal(dense(x), before)
    dense.renew([module])
    torch.testing.assert_close(dense(x), linear(x, module.weight, module.bias), rtol=2e-2, atol=2e-2)
    assert not torch.equal(dense(x), before)


def random_linears(dtype: torch.dtype) -> list[nn.Linear]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(8)
        return [nn.Linear(96, 48).to(dtype).requires_grad_(False) for _ in range(3)]


@pytest.mark.parametrize("then_gelu", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_int8_is_within_two_percent_of_float32(dtype: torch.dtype, then_gelu: bool) -> None:
    modules = random_linears(dtype)
    x = torch.randn(3, 20, 96, generator=torch.Generator().manual_seed(1)).to(dtype)
    with torch.inference_mode():
        exact = torch.cat([linear(x.float(), m.weight.float(), m.bias.float()) for m in modules], dim=2)
        exact = gelu(exact) if then_gelu else exact
        got = Int8Dense(modules, then_gelu=then_gelu)(x)
    assert got.dtype == dtype
    assert (got.float() - exact).norm() / exact.norm() < 0.02


def test_int8_of_a_token_does_not_depend_on_the_other_tokens() -> None:
    dense = Int8Dense(random_linears(torch.float32))
    x = torch.randn(1, 5, 96, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        among_giants = torch.cat([x, 1000.0 * x], dim=1)
        assert torch.equal(dense(among_giants)[:, :5], dense(x))


@pytest.mark.parametrize("form", [Dense, Int8Dense])
def test_zero_tokens_give_the_bias(form: Callable[..., Product]) -> None:
    (module,) = random_linears(torch.float32)[:1]
    with torch.inference_mode():
        torch.testing.assert_close(form((module,))(torch.zeros(1, 2, 96))[0, 1], module.bias.data)


def test_int8_follows_its_weights_when_they_are_overwritten() -> None:
    modules = random_linears(torch.float32)
    dense = Int8Dense(modules)
    x = torch.randn(1, 4, 96, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        before = dense(x)
        modules[0].weight.copy_(modules[0].weight + 1.0)
        dense.renew([])
        assert torch.equal(dense(x), before)
        dense.renew(modules[:1])
        assert not torch.equal(dense(x), before)
