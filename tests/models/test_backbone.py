import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from models.backbone import (
    AsModules,
    FusedBert,
    add_lora,
    attend,
    load_backbone,
    merge_lora,
    serving_form,
)

HISTORY, LENGTH, WIDTH = 5, 12, 32
SHAPE = {
    "vocab_size": 50,
    "hidden_size": WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 64,
    "initializer_range": 0.15,
}


def saved(kind: str, path: Path, **changes: Any) -> str:
    """A tiny encoder of that kind on disk, with random weights everywhere (biases and norms too)."""
    import transformers

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        config = getattr(transformers, f"{kind}Config")(**{**SHAPE, **changes})
        model = getattr(transformers, f"{kind}Model")(config)
        for parameter in model.parameters():
            parameter.data.add_(0.1 * torch.randn_like(parameter))
        model.save_pretrained(path)
    return str(path)


def soft_tokens() -> tuple[Tensor, Tensor]:
    """Four users: a full history, a short one, none at all, and candidates that are partly padding."""
    tokens = torch.randn(4, LENGTH, WIDTH, generator=torch.Generator().manual_seed(3))
    valid = torch.ones(4, LENGTH, dtype=torch.bool)
    valid[1, 2:HISTORY] = False
    valid[2, :HISTORY] = False
    valid[3, -4:] = False
    return tokens, valid


@pytest.mark.parametrize("kind", ["Bert", "Roberta", "XLMRoberta"])
def test_fused_form_computes_what_the_modules_compute(kind: str, tmp_path: Path) -> None:
    backbone = load_backbone(saved(kind, tmp_path / kind), layers=2)
    tokens, valid = soft_tokens()
    with torch.inference_mode():
        served = serving_form(backbone, history=HISTORY)
        assert isinstance(served, FusedBert)
        expected = attend(backbone, tokens, valid=valid, history=HISTORY)
        torch.testing.assert_close(served(tokens, valid), expected, rtol=0, atol=1e-5)


def test_fused_form_in_bfloat16_is_as_near_to_float32_as_the_modules_are(tiny_backbone: str) -> None:
    exact = load_backbone(tiny_backbone, layers=2)
    narrow = copy.deepcopy(exact).to(torch.bfloat16)
    tokens, valid = soft_tokens()
    with torch.inference_mode():
        truth = attend(exact, tokens, valid=valid, history=HISTORY)
        modules = attend(narrow, tokens.bfloat16(), valid=valid, history=HISTORY)
        fused = serving_form(narrow, history=HISTORY)(tokens.bfloat16(), valid)
    error_of_modules = (modules.float() - truth).square().mean().sqrt().item()
    error_of_fused = (fused.float() - truth).square().mean().sqrt().item()
    assert fused.dtype == torch.bfloat16
    assert 0 < error_of_fused < 1.3 * error_of_modules


@pytest.mark.parametrize("targets", [("query", "value"), ("key",), ("dense",)])
def test_renewed_form_has_the_weights_of_every_merge(targets: tuple[str, ...], tiny_backbone: str) -> None:
    plain = load_backbone(tiny_backbone, layers=2)
    generator = torch.Generator().manual_seed(1)
    trained = add_lora(
        copy.deepcopy(plain), name="tiny", rank=2, alpha=4, targets=targets, generator=generator
    )
    served = serving_form(plain, history=HISTORY)
    tokens, valid = soft_tokens()
    with torch.inference_mode():
        previous = served(tokens, valid)
    for _ in range(2):
        with torch.no_grad():
            for name, parameter in trained.named_parameters():
                if ".lora_B." in name:
                    parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
        served.renew(merge_lora(trained, into=plain))
        with torch.inference_mode():
            now = served(tokens, valid)
            expected = attend(trained, tokens, valid=valid, history=HISTORY)
        torch.testing.assert_close(now, expected, rtol=0, atol=2e-5)
        assert (now - previous).abs().max() > 1e-2
        previous = now


def test_backbone_without_a_fused_form_serves_through_its_modules(tmp_path: Path) -> None:
    backbone = load_backbone(saved("Bert", tmp_path / "relu", hidden_act="relu"), layers=2)
    tokens, valid = soft_tokens()
    served = serving_form(backbone, history=HISTORY)
    assert isinstance(served, AsModules)
    with torch.inference_mode():
        expected = attend(backbone, tokens, valid=valid, history=HISTORY)
        assert torch.equal(served(tokens, valid), expected)
