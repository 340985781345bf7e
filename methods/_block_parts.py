"""Parts of a decoder's blocks under the names that architectures have for them."""

from collections.abc import Sequence

from torch import nn

from bench.contracts import LanguageBackbone, UsageError

FEED_FORWARD = ("mlp", "feed_forward", "ffn")
"""What decoders call the feed-forward part of a block."""
ATTENTION = ("self_attn", "attn", "attention", "self_attention")
"""What decoders call the attention of a block."""
ATTENTION_OUTPUT = ("o_proj", "c_proj", "dense", "out_proj")
"""What they call its output projection."""


def _part(block: nn.Module, names: Sequence[str], what: str, method: str) -> nn.Module:
    for name in names:
        found = getattr(block, name, None)
        if isinstance(found, nn.Module):
            return found
    raise UsageError(
        f"{method} needs {what} under a known name ({', '.join(names)}), found none in {type(block).__name__}; "
        "choose another backbone"
    )


def feed_forward(block: nn.Module, method: str) -> nn.Module:
    """The feed-forward part of a block. Raises UsageError if it has no known name."""
    return _part(block, FEED_FORWARD, "the feed-forward part of a block", method)


def feed_forwards(backbone: LanguageBackbone, method: str) -> list[nn.Module]:
    """The feed-forward part of each block. Raises UsageError if it has no known name."""
    return [feed_forward(block, method) for block in backbone.blocks]


def attention_outputs(backbone: LanguageBackbone, method: str) -> list[nn.Module]:
    """The output projection of each block's attention. Raises UsageError if it has no known name."""
    attentions = [_part(block, ATTENTION, "the attention of a block", method) for block in backbone.blocks]
    return [_part(each, ATTENTION_OUTPUT, "the output projection of attention", method) for each in attentions]
