"""Short texts after a long shared context as one row, in which each sees the context and itself alone.

With a row for each text, the context's keys and values are copied for each: where texts are short, that takes longer
than all else, and memory in proportion to texts times context.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.cache_utils import DynamicLayer

from bench.backbones._branches import Tokens, rows_of

AT_ONCE = 256
"""Tokens of a row. Attention, which masks most of a longer one, would take longer than products of it save."""
LONG = 16
"""Times the mean length of its texts that a context has from which on a row of them all is quicker."""
MODEL_TYPES = frozenset(
    (
        "cohere",
        "gemma",
        "gpt2",
        "gpt_neox",
        "granite",
        "llama",
        "mistral",
        "mixtral",
        "olmo",
        "olmo2",
        "opt",
        "qwen2",
        "qwen3",
        "smollm3",
        "stablelm",
    )
)
"""Architectures that read positions and mask as they are given, by a test of each against texts of their own."""


def packs(run: Callable[..., Any], context: Any, tails: Sequence[Tokens], shared: int, device: torch.device) -> bool:
    """Whether texts after a shared context are to be one row: where that gives the same hidden states, and pays.

    It is for the CPU alone. A hook may mix the positions of a row, so that nothing in the model may have one.

    Args:
        run: The model up to its last hidden states.
        context: Keys and values of the shared context; None without one.
        tails: Token ids of each text after the shared context.
        shared: Tokens of the shared context.
        device: Device of the model.

    Returns:
        Whether ``run_packed`` is to run them.
    """
    return (
        device.type == "cpu"
        and context is not None
        and shared * len(tails) >= LONG * sum(map(len, tails))
        and isinstance(run, PreTrainedModel)
        and run.config.model_type in MODEL_TYPES
        and run.config._attn_implementation == "sdpa"
        and all(type(layer) is DynamicLayer for layer in context.layers)
        and not any(module._forward_hooks or module._forward_pre_hooks for module in run.modules())
    )


def packed_batches(lengths: Sequence[int]) -> Iterator[slice]:
    """Texts that make up a row, in their order.

    Args:
        lengths: Tokens of each text.

    Yields:
        Places of the texts of a row: as many as have AT_ONCE tokens together, or one that is longer.
    """
    start = tokens = 0
    for place, length in enumerate(lengths):
        if tokens and tokens + length > AT_ONCE:
            yield slice(start, place)
            start, tokens = place, 0
        tokens += length
    yield slice(start, len(lengths))


def run_packed(
    run: Callable[..., Any], context: Any, tails: Sequence[Tokens], shared: int, device: torch.device
) -> Sequence[Tensor]:
    """Hidden states of texts after a shared context, all in one row.

    Args:
        run: The model up to its last hidden states, with the arguments of transformers.
        context: Keys and values of the shared context, of one row. They stay as they are.
        tails: Token ids of each text after the shared context.
        shared: Tokens of the shared context.
        device: Device of the model.

    Returns:
        ``[position, dim]`` of each text.
    """
    lengths = [len(tail) for tail in tails]
    ids = torch.tensor([[token for tail in tails for token in tail]], device=device)
    places = torch.cat([torch.arange(shared, shared + length) for length in lengths]).to(device)
    text = torch.arange(len(tails)).repeat_interleave(torch.tensor(lengths)).to(device)
    own = (text.unsqueeze(1) == text) & (places.unsqueeze(1) >= places)
    mask = torch.cat([own.new_ones(len(own), shared), own], dim=1)
    output = run(
        input_ids=ids, attention_mask=mask[None, None], position_ids=places[None],
        past_key_values=rows_of(context, [0]), use_cache=True,
    )  # fmt: skip
    hidden: Tensor = output.last_hidden_state
    return torch.split(hidden[0], lengths)
