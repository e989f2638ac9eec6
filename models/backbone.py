"""The frozen pretrained transformer that the deep part speaks through, and its LoRA adapter (peft).

Hu et al. (2021), LoRA: Low-Rank Adaptation of Large Language Models.
"""

import inspect
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from models.errors import ConfigError, ModelLoadError
from models.pretrained import load_encoder

ADAPTER = "default"
_FIRST_POSITION = 4  # the first few belong to [CLS] and padding, whose large embeddings drown a soft token


def load_backbone(name_or_path: str, *, layers: int) -> Any:
    """The first `layers` layers of the encoder, frozen, without its vocabulary: it reads soft tokens.

    Raises ModelLoadError when the encoder is not there, is too shallow, or cannot read soft tokens.
    """
    model = load_encoder(name_or_path, layers=layers)
    accepted = inspect.signature(model.forward).parameters
    for needed in ("inputs_embeds", "attention_mask", "position_ids"):
        if needed not in accepted:
            raise ModelLoadError(
                f"{name_or_path} ({type(model).__name__}) takes no {needed}, which soft tokens need; "
                "use a BERT-like encoder such as BERT, MiniLM, RoBERTa or ModernBERT"
            )
    model.set_input_embeddings(nn.Embedding(1, model.config.hidden_size))
    return model.requires_grad_(False).eval()


def add_lora(
    backbone: Any, *, name: str, rank: int, alpha: int, targets: tuple[str, ...], generator: torch.Generator
) -> Any:
    """A peft model around `backbone`, in eval mode (a stream is one epoch: no dropout).

    B starts at zero and A from `generator`, so that it begins as the pretrained model.
    Raises ConfigError when the backbone has none of `targets`.
    """
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=rank,
        lora_alpha=alpha,
        target_modules=list(targets),
        lora_dropout=0.0,
        bias="none",
        layers_to_transform=list(range(backbone.config.num_hidden_layers)),
    )
    try:
        with torch.random.fork_rng(devices=[]):
            model = get_peft_model(backbone, config)
    except ValueError as error:
        raise ConfigError(f"lora_targets {targets} do not fit {name}: {error}") from error
    model.peft_config[ADAPTER].base_model_name_or_path = name
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            if ".lora_A." in parameter_name:
                bound = (3.0 / parameter.shape[1]) ** 0.5
                parameter.uniform_(-bound, bound, generator=generator)
    return model.eval()


@torch.no_grad()
def merge_lora(trained: Any, *, into: Any) -> None:
    """Overwrite the adapted weights of the plain backbone `into` by weight + B·A·scale of `trained`."""
    from peft.tuners.lora import LoraLayer

    for name, module in trained.named_modules():
        if isinstance(module, LoraLayer):
            plain = into.get_submodule(name.removeprefix("base_model.model."))
            adapted: Any = module
            plain.weight.copy_(adapted.get_base_layer().weight + adapted.get_delta_weight(ADAPTER))


def save_lora(model: Any, path: Path) -> None:
    """Write adapter_config.json and adapter_model.safetensors, as `peft.PeftModel.from_pretrained` reads."""
    model.save_pretrained(str(path), save_embedding_layers=False)


def attend(backbone: Any, tokens: Tensor, *, valid: Tensor, history: int) -> Tensor:
    """(B, S, H) last hidden states of S soft tokens: the first `history` are the user's, the rest candidates.

    The user's tokens see each other; a candidate sees the user's tokens and itself, so that candidates
    share one pass and yet are scored as if alone. `tokens`: (B, S, H); `valid`: (B, S) bool.
    """
    n_users, length, _ = tokens.shape
    seen = valid.clone()
    seen[:, history:] = False  # (B, S): what everyone may look at
    itself = torch.eye(length, dtype=torch.bool, device=tokens.device)
    allowed = (seen[:, None, :] | itself)[:, None]  # (B, 1, S, S)
    mask = torch.zeros(allowed.shape, dtype=tokens.dtype, device=tokens.device)
    mask.masked_fill_(~allowed, torch.finfo(tokens.dtype).min)
    positions = torch.full((length,), _FIRST_POSITION + history, dtype=torch.long, device=tokens.device)
    positions[:history] = torch.arange(_FIRST_POSITION, _FIRST_POSITION + history, device=tokens.device)
    output = backbone(
        inputs_embeds=tokens, attention_mask=mask, position_ids=positions.expand(n_users, length)
    )
    hidden: Tensor = output.last_hidden_state
    return hidden
