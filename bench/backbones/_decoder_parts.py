"""Parts of a decoder of transformers under the names of its architecture: final norm, blocks, context length."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from bench.contracts import UsageError

_NORMS = ("norm", "ln_f", "norm_f", "final_layer_norm", "final_layernorm", "layer_norm", "decoder.final_layer_norm")
_LENGTHS = ("max_position_embeddings", "seq_length", "max_seq_len")
"""Names of the context length; BLOOM and MPT have no limit of their own, and were trained on the last two."""


def final_norm(decoder: Any, name: str) -> nn.Module:
    """The norm before the output embedding.

    Args:
        decoder: The network without its output layer.
        name: Name of the model, for messages.

    Returns:
        The module.

    Raises:
        UsageError: If it has no known name.
    """
    for path in _NORMS:
        module: Any = decoder
        for part in path.split("."):
            module = getattr(module, part, None)
        if module is not None:
            return cast(nn.Module, module)
    raise UsageError(
        f"{name} ({type(decoder).__name__}) has no final norm under a known name ({', '.join(_NORMS)}); use another "
        "backbone"
    )


def blocks(decoder: nn.Module, count: int, name: str) -> Sequence[nn.Module]:
    """The transformer blocks.

    Args:
        decoder: The network without its output layer.
        count: Number of blocks.
        name: Name of the model, for messages.

    Returns:
        The blocks in order.

    Raises:
        UsageError: If the model has no list of as many modules as blocks.
    """
    for module in decoder.modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return list(module)
    raise UsageError(f"{name} has no list of its {count} blocks; memories cannot be attached to it")


def context_length(config: Any, name: str) -> int:
    """Largest number of tokens of a text, from the config.

    Args:
        config: Config of the model.
        name: Name of the model, for messages.

    Returns:
        The length. Where angles of positions change beyond the original length (``longrope``), it is that one: beyond,
        a text's hidden states depend on the longest text of its batch.

    Raises:
        UsageError: If the config has none.
    """
    found = [value for key in _LENGTHS if isinstance(value := getattr(config, key, None), int) and value > 0]
    if not found:
        raise UsageError(
            f"{name} ({config.model_type}) names no context length in its config.json; add max_position_embeddings, "
            "the number of tokens that it was trained on"
        )
    angles = getattr(config, "rope_parameters", None) or {}
    original = angles.get("original_max_position_embeddings") or getattr(
        config, "original_max_position_embeddings", None
    )
    if angles.get("rope_type") == "longrope" and original:
        return min(found[0], int(original))
    return found[0]


@torch.no_grad()
def hidden_length(norm: Any, width: int, name: str) -> float:
    """Length of a hidden state of unit variance after the final norm, which scales each coordinate.

    Args:
        norm: The final norm.
        width: Width of a hidden state.
        name: Name of the model, for messages.

    Returns:
        The length.

    Raises:
        UsageError: If the norm scales by neither its weight nor one more than that, or all to 0.
    """
    weight, bias = getattr(norm, "weight", None), getattr(norm, "bias", None)
    shift = torch.zeros(width) if bias is None else bias.float()
    # Coordinates of 1 and -1 in turn have mean 0 and variance 1: what comes out is the scale itself.
    unit = torch.ones(width)
    unit[1::2] = -1
    given = unit if weight is None else unit.to(weight.dtype)
    scaled = (norm(given.view(1, 1, -1)).view(-1).float() - shift) * unit
    gains: list[Tensor] = [torch.ones(width)] if weight is None else [weight.float(), 1 + weight.float()]
    for gain in gains:
        if torch.allclose(scaled, gain, rtol=1e-2, atol=1e-3 * float(gain.abs().max())):
            square = gain.square().sum() + (0 if bias is None else bias.float().square().sum())
            if not square:
                raise UsageError(f"{name} ({type(norm).__name__}) scales all hidden states to 0; its file is damaged")
            return float(square.sqrt())
    raise UsageError(f"{name} ({type(norm).__name__}) scales hidden states in a way that is not known")
