"""Hooks on modules of a language model, and places and gates of memories there (FAAST, arXiv 2605.04651).

Methods use them to answer, ``bench readout`` to train.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from bench.contracts import LanguageBackbone


def output_layer(backbone: LanguageBackbone) -> nn.Linear:
    """The layer from hidden states after the final norm to logits.

    Args:
        backbone: The language model.

    Returns:
        The layer; its weight is ``[token, d]``.
    """
    network: Any = backbone.causal_lm
    layer: nn.Linear = network.get_output_embeddings()
    return layer


def gated_values(keys: Tensor, values: Tensor, scorer: Tensor) -> Tensor:
    """Values weighted by a gate, ``v * sigmoid(s . [k; v])``.

    Args:
        keys: ``[..., d]``.
        values: ``[..., d]``.
        scorer: ``[1, 2 d]``, the vector s.

    Returns:
        ``[..., d]``.
    """
    return values * torch.sigmoid(torch.cat([keys, values], dim=-1) @ scorer.mT)


def memory_layers(n_blocks: int, n_memories: int) -> list[int]:
    """Positions of the blocks with a middle memory before them, ``int(L / (n + 1) * (i + 1))``.

    Args:
        n_blocks: L, the number of blocks.
        n_memories: n, the number of middle memories.

    Returns:
        ``[memory]``, ascending.
    """
    return [int(n_blocks / (n_memories + 1) * (number + 1)) for number in range(n_memories)]


@contextmanager
def input_hooks(places: Sequence[tuple[nn.Module, Any]]) -> Iterator[None]:
    """Context in which functions replace the first input of modules.

    Args:
        places: Modules, each with a function from its first input to the replacement; None leaves the input unchanged.

    Yields:
        Nothing; the hooks are removed at the end.
    """

    def hook(change: Any) -> Any:
        def before(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            states = args[0] if args else kwargs["hidden_states"]
            changed = change(states)
            if changed is None:
                return None
            if args:
                return (changed, *args[1:]), kwargs
            return args, {**kwargs, "hidden_states": changed}

        return before

    with ExitStack() as stack:
        for module, change in places:
            handle = module.register_forward_pre_hook(hook(change), with_kwargs=True)
            stack.callback(handle.remove)
        yield
