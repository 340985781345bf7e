"""Attention of several short texts to one long context before them, whose keys and values are copied for none of them.

In a usual cache each text has a row of its own with the whole context, which each layer copies to add the text's keys,
and again for each group of heads. Here all rows are one matrix before the context: the same products and the same sums,
a fraction of the memory.
"""

import copy
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface
from transformers.cache_utils import DynamicLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from bench.backbones._branches import rows_of

FAMILIES = frozenset({"llama", "mistral", "mixtral", "qwen2", "qwen3", "gemma", "olmo2", "smollm3", "granite"})
"""Types of models whose attention takes keys and values as the cache gives them, tested one by one; of others, rows
have copies."""
LEAST, LONGEST = 64, 64
"""Least number of tokens of a context, and most of a text: for longer texts the weights of attention, which are kept as
a whole, take more memory than copies do."""
_MARK = "shared_context"
"""Attribute of the keys of texts that go on from a context."""


class SharedLayer(DynamicLayer):  # type: ignore[no-untyped-call]
    """Cache of one layer for several texts after one context.

    Attributes:
        context: Keys and values of the context, ``[1, head, position, dim]``.
    """

    def __init__(self, layer: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.context = layer.keys, layer.values

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Add keys and values; those of the context go with the keys, see ``_attention``.

        Args:
            key_states: ``[row, head, position, dim]``.
            value_states: The same for values.
            *args: Those of transformers.
            **kwargs: Those of transformers.

        Returns:
            Keys and values of the texts' own tokens.
        """
        keys, values = super().update(key_states, value_states, *args, **kwargs)
        setattr(keys, _MARK, self.context)
        return keys, values

    def get_seq_length(self) -> int:
        """Tokens before the next one, those of the context included."""
        return int(self.context[0].shape[-2] + super().get_seq_length())


def continued(run: Any, context: Any, rows: int, longest: int) -> Any:
    """A cache for texts that go on from one context.

    Args:
        run: The model up to its last hidden states.
        context: Keys and values of the context, of one row. They stay as they are.
        rows: Number of texts.
        longest: Tokens of the longest text.

    Returns:
        A cache for one call with these texts.
    """
    config, layers = getattr(run, "config", None), context.layers
    shares = (
        getattr(config, "model_type", None) in FAMILIES
        and getattr(config, "_attn_implementation", None) == "sdpa"
        and longest <= LONGEST
        # A sliding window has a layer of its own type.
        and all(type(layer) is DynamicLayer for layer in layers)
        and layers[0].keys.shape[0] == 1
        and layers[0].keys.shape[-2] >= LEAST
        and layers[0].keys.device.type == "cpu"
    )
    if not shares:
        return rows_of(context, [0] * rows)
    made = copy.copy(context)
    made.layers = [SharedLayer(layer) for layer in layers]
    return made


def _attention(
    module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, dropout: float = 0.0,
    scaling: float | None = None, **options: Any,
) -> tuple[Tensor, None]:  # fmt: skip
    """``sdpa_attention_forward``, or attention to a shared context and to the texts' own tokens."""
    context = getattr(key, _MARK, None)
    if context is None:
        found: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **options
        )
        return found
    before_keys, before_values = (each[0] for each in context)  # [head, position, dim]
    rows, heads, length, dim = query.shape
    n_keys, before = before_keys.shape[:2]
    scaled = query * (dim**-0.5 if scaling is None else scaling)
    # [head of keys, head of its group, row, position, dim]
    given = scaled.view(rows, n_keys, heads // n_keys, length, dim).permute(1, 2, 0, 3, 4)
    own_keys, own_values = (each.transpose(0, 1).unsqueeze(1) for each in (key, value))
    to_context = given.reshape(n_keys, -1, dim) @ before_keys.mT
    scores = torch.cat([to_context.view(*given.shape[:-1], before), given @ own_keys.mT], dim=-1).float()
    if attention_mask is not None:
        mask = attention_mask[:, 0]
        scores = scores.masked_fill_(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask
    weights = scores.softmax(dim=-1).to(query.dtype)
    to_before, to_own = torch.split(weights, [before, weights.shape[-1] - before], dim=-1)
    read = (to_before.reshape(n_keys, -1, before) @ before_values).view(given.shape) + to_own @ own_values
    return read.permute(2, 3, 0, 1, 4).reshape(rows, length, heads, dim), None


AttentionInterface.register("sdpa", _attention)
