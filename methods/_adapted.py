"""Copies of a backbone's modules with trainable adapters in them; the backbone itself stays as it is."""

import copy
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from torch.optim import AdamW

from bench.contracts import Backbone, UsageError
from bench.toolkit.extras import import_extra
from bench.toolkit.seeds import seeded

PROJECTIONS = ("query", "key", "value", "out")
CLIP_NORM = 1.0


class ClippedAdamW(AdamW):
    """AdamW on gradients scaled down to a norm of 1 over all parameters where it is larger."""

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Have the closure make the gradients, if there is one, and only then clip and step."""
        with torch.enable_grad():
            loss = None if closure is None else closure()
        for group in self.param_groups:
            nn.utils.clip_grad_norm_(group["params"], CLIP_NORM)
        super().step()
        return loss


class SplitAttention(nn.Module):
    """The function of an ``nn.MultiheadAttention`` without dropout, with a linear layer for each projection.

    peft 0.21 adapts ``nn.MultiheadAttention`` itself, but counts the update of its output projection twice
    (huggingface/peft pull request 3774), and of a linear layer in it, it never runs the adapter.
    """

    def __init__(self, whole: nn.MultiheadAttention) -> None:
        super().__init__()
        self.heads, self.batch_first = whole.num_heads, whole.batch_first
        biases = (None,) * 3 if whole.in_proj_bias is None else whole.in_proj_bias.chunk(3)
        for name, weight, bias in zip(PROJECTIONS, whole.in_proj_weight.chunk(3), biases, strict=False):
            setattr(self, name, _linear(weight, bias))
        self.out = _linear(whole.out_proj.weight, whole.out_proj.bias)

    query: nn.Module
    key: nn.Module
    value: nn.Module

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, need_weights: bool = False, attn_mask: Tensor | None = None
    ) -> tuple[Tensor, None]:
        """``[batch, token, dim]``, or ``[token, batch, dim]`` unless ``batch_first``; never gives weights."""
        parts = (self.query(query), self.key(key), self.value(value))
        if not self.batch_first:
            parts = tuple(part.transpose(0, 1) for part in parts)
        queries, keys, values = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        mixed = scaled_dot_product_attention(queries, keys, values, attn_mask=attn_mask).transpose(1, 2).flatten(-2)
        return self.out(mixed if self.batch_first else mixed.transpose(0, 1)), None


def _linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    made = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device=weight.device, dtype=weight.dtype)
    with torch.no_grad():
        made.weight.copy_(weight)
        if bias is not None:
            made.bias.copy_(bias)
    return made.requires_grad_(False)


def copied(backbone: Backbone) -> Backbone:
    """The backbone with modules of its own; the frozen weights are the same tensors, which lie in memory once.

    All else is shared too, such as a text tower kept beside the modules.

    Returns:
        The copy.
    """
    other = copy.copy(backbone)
    shared: dict[int, Any] = {id(weights): weights for weights in backbone.parameters()}
    other._modules = {name: copy.deepcopy(module, shared) for name, module in backbone._modules.items()}
    return other.requires_grad_(False)


def split_attention(network: nn.Module) -> None:
    """Put SplitAttention in place of every attention that projects queries, keys and values of one width."""
    for name, child in network.named_children():
        if isinstance(child, nn.MultiheadAttention) and child.in_proj_weight is not None and child.bias_k is None:
            setattr(network, name, SplitAttention(child))
        else:
            split_attention(child)


def targets(network: nn.Module) -> list[str]:
    """Names of the layers to adapt: attention's projections; without it, 1 x 1 convolutions; else all linear layers.

    Linear layers are no choice where there are convolutions: CLIP's ResNets have some whose weights are read and
    that are never run, so that an adapter would be ignored. Raises UsageError if there is nothing to adapt.

    Returns:
        Dotted names of modules.
    """
    layers = list(network.named_modules())
    attention = [
        f"{name}.{part}" for name, layer in layers if isinstance(layer, SplitAttention) for part in PROJECTIONS
    ]
    pointwise = [name for name, layer in layers if isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1)]
    linear = [name for name, layer in layers if isinstance(layer, nn.Linear)]
    for found in (attention, pointwise, linear):
        if found:
            return found
    raise UsageError(
        f"lora adapts attention, 1 x 1 convolutions or linear layers, and {type(network).__name__} has none; "
        "choose another backbone"
    )


def with_lora(backbone: Backbone, *, rank: int, alpha: float, dropout: float, seed: int) -> Backbone:
    """A copy with peft's LoRA in it: every target computes ``W x + alpha / rank * B A x``, where B starts at 0."""
    adapted = copied(backbone)
    split_attention(adapted)
    names = targets(adapted)
    peft = import_extra("peft")
    config = peft.LoraConfig(r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=names)
    with seeded(seed, next(backbone.parameters()).device), warnings.catch_warnings():
        # A depthwise network has layers narrower than the rank; peft warns of each.
        warnings.simplefilter("ignore")
        peft.inject_adapter_in_model(config, adapted)
    return adapted
