"""The frozen pretrained transformer that the deep part speaks through, its LoRA adapter, and how it serves.

Hu et al. (2021), LoRA: Low-Rank Adaptation of Large Language Models.
"""

import inspect
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm, scaled_dot_product_attention

from models.dense import Dense, Int8Dense, Product
from models.errors import ConfigError, ModelLoadError
from models.pretrained import load_encoder
from models.twin import FAST, SLOW

_LAID_OUT_LIKE_BERT = ("bert", "roberta", "xlm-roberta")  # one layout of layers under three model types
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
    model.peft_config[FAST].base_model_name_or_path = name
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            if ".lora_A." in parameter_name:
                bound = (3.0 / parameter.shape[1]) ** 0.5
                parameter.uniform_(-bound, bound, generator=generator)
    return model.eval()


@torch.no_grad()
def merge_lora(trained: Any, *, into: Any, slow_share: float = 0.0) -> set[nn.Module]:
    """Overwrite the adapted weights of the plain backbone `into` by weight + B·A·scale of `trained`.

    With a `slow_share`, B·A·scale is the mean of the fast and the slow adapter's, the slow one so heavy.
    Returns the modules whose weights were overwritten.
    """
    from peft.tuners.lora import LoraLayer

    overwritten = set()
    for name, module in trained.named_modules():
        if isinstance(module, LoraLayer):
            plain = into.get_submodule(name.removeprefix("base_model.model."))
            adapted: Any = module
            delta = adapted.get_delta_weight(FAST)
            if slow_share > 0:
                delta = delta.lerp(adapted.get_delta_weight(SLOW), slow_share)
            plain.weight.copy_(adapted.get_base_layer().weight + delta)
            overwritten.add(plain)
    return overwritten


def save_lora(model: Any, path: Path) -> None:
    """Write adapter_config.json and adapter_model.safetensors, as `peft.PeftModel.from_pretrained` reads."""
    model.save_pretrained(str(path), save_embedding_layers=False)


def attend(backbone: Any, tokens: Tensor, *, valid: Tensor, history: int) -> Tensor:
    """(B, S, H) last hidden states of S soft tokens: the first `history` are the user's, the rest candidates.

    The user's tokens see each other; a candidate sees the user's tokens and itself, so that candidates
    share one pass and yet are scored as if alone. `tokens`: (B, S, H); `valid`: (B, S) bool.
    """
    n_users, length, _ = tokens.shape
    output = backbone(
        inputs_embeds=tokens,
        attention_mask=_mask(valid, history=history, dtype=tokens.dtype),
        position_ids=_positions(length, history=history, device=tokens.device).expand(n_users, length),
    )
    hidden: Tensor = output.last_hidden_state
    return hidden


class ServingForm(Protocol):
    """A backbone as it serves, without autograd. Its owner says when the backbone's weights are new."""

    def __call__(self, tokens: Tensor, valid: Tensor) -> Tensor:
        """(B, S, H): what `attend` gives for `tokens` (B, S, H) and `valid` (B, S) bool."""
        ...

    def renew(self, overwritten: Collection[nn.Module]) -> None:
        """Read the weights of these modules of the backbone again."""
        ...


def serving_form(backbone: Any, *, history: int, int8: bool = False) -> ServingForm:
    """The fastest form of `backbone`: fused where its layers are BERT's, else its own modules.

    Raises ConfigError for `int8` where there is no fused form.
    """
    config = backbone.config
    if config.model_type in _LAID_OUT_LIKE_BERT and config.hidden_act == "gelu" and not config.is_decoder:
        return FusedBert(backbone, history=history, product=Int8Dense if int8 else Dense)
    if int8:
        raise ConfigError(f"dtype int8 is for BERT-like encoders with GELU, not for {config.model_type}")
    return AsModules(backbone, history=history)


class AsModules:
    """`attend` as it is, for a backbone that no fused form knows."""

    def __init__(self, backbone: Any, *, history: int) -> None:
        self._backbone = backbone
        self._history = history

    def __call__(self, tokens: Tensor, valid: Tensor) -> Tensor:
        """As ServingForm."""
        return attend(self._backbone, tokens, valid=valid, history=self._history)

    def renew(self, overwritten: Collection[nn.Module]) -> None:
        """Nothing to do: it holds no copy."""


@dataclass(frozen=True, slots=True)
class _Layer:
    """One BERT layer: two of its products with what follows them."""

    qkv: Product  # H → 3H
    mixed: Product  # H → H
    mixed_norm: nn.LayerNorm
    wide: Product  # H → I, through GELU
    narrow: Product  # I → H
    narrow_norm: nn.LayerNorm


class FusedBert:
    """`attend` of a BERT without autograd: one product for Q, K and V, packed weights, no module calls.

    A single user is bound by fetching the weights and by the overhead of each call, not by arithmetic: this
    takes a third of the time away. It holds copies of weights: call `renew` when the backbone's change.
    """

    def __init__(self, backbone: Any, *, history: int, product: Callable[..., Product] = Dense) -> None:
        config = backbone.config
        self._history = history
        self._heads = int(config.num_attention_heads)
        self._embeddings = backbone.embeddings
        self._layers = [_fused(layer, product) for layer in backbone.encoder.layer]

    def __call__(self, tokens: Tensor, valid: Tensor) -> Tensor:
        """As ServingForm."""
        n_users, length, width = tokens.shape
        mask = _mask(valid, history=self._history, dtype=tokens.dtype)
        positions = _positions(length, history=self._history, device=tokens.device)
        places = self._embeddings.position_embeddings.weight[positions]  # (S, H)
        places = places + self._embeddings.token_type_embeddings.weight[0]
        hidden = _norm(tokens + places, self._embeddings.LayerNorm)
        for layer in self._layers:
            heads = layer.qkv(hidden).view(n_users, length, 3, self._heads, -1)  # (B, S, 3, heads, H / heads)
            query, key, value = heads.permute(2, 0, 3, 1, 4)  # each (B, heads, S, H / heads)
            seen = scaled_dot_product_attention(query, key, value, attn_mask=mask)
            seen = seen.transpose(1, 2).reshape(n_users, length, width)
            hidden = _norm(layer.mixed(seen) + hidden, layer.mixed_norm)
            hidden = _norm(layer.narrow(layer.wide(hidden)) + hidden, layer.narrow_norm)
        return hidden

    def renew(self, overwritten: Collection[nn.Module]) -> None:
        """As ServingForm."""
        for layer in self._layers:
            for dense in (layer.qkv, layer.mixed, layer.wide, layer.narrow):
                dense.renew(overwritten)


def _fused(layer: Any, product: Callable[..., Product]) -> _Layer:
    attention, mixed, narrow = layer.attention.self, layer.attention.output, layer.output
    return _Layer(
        qkv=product((attention.query, attention.key, attention.value)),
        mixed=product((mixed.dense,)),
        mixed_norm=mixed.LayerNorm,
        wide=product((layer.intermediate.dense,), then_gelu=True),
        narrow=product((narrow.dense,)),
        narrow_norm=narrow.LayerNorm,
    )


def _norm(x: Tensor, norm: nn.LayerNorm) -> Tensor:
    return layer_norm(x, norm.normalized_shape, norm.weight, norm.bias, norm.eps)


def _mask(valid: Tensor, *, history: int, dtype: torch.dtype) -> Tensor:
    """(B, 1, S, S) to add to attention scores: 0 where a token may look, the least number elsewhere."""
    seen = valid.clone()
    seen[:, history:] = False  # (B, S): what everyone may look at
    itself = torch.eye(valid.shape[1], dtype=torch.bool, device=valid.device)
    allowed = (seen[:, None, :] | itself)[:, None]  # (B, 1, S, S)
    mask = torch.zeros(allowed.shape, dtype=dtype, device=valid.device)
    return mask.masked_fill_(~allowed, torch.finfo(dtype).min)


def _positions(length: int, *, history: int, device: torch.device) -> Tensor:
    """(S,) int64: one after another for the history, the next one for every candidate."""
    positions = torch.full((length,), _FIRST_POSITION + history, dtype=torch.long, device=device)
    positions[:history] = torch.arange(_FIRST_POSITION, _FIRST_POSITION + history, device=device)
    return positions
