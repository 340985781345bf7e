"""Class embeddings from prompts: one template or an ensemble."""

from collections.abc import Callable, Sequence

from torch import Tensor
from torch.nn.functional import normalize


def ensemble(embed: Callable[[list[str]], Tensor], names: Sequence[str], prompts: Sequence[str]) -> Tensor:
    """Mean direction of each class's prompts (Radford et al., arXiv 2103.00020).

    Args:
        embed: Function from texts to ``[text, dim]``.
        names: Class names.
        prompts: Templates with ``{label}`` in them.

    Returns:
        ``[class, dim]`` unit vectors.
    """
    texts = [prompt.replace("{label}", name) for name in names for prompt in prompts]
    each = normalize(embed(texts), dim=-1).view(len(names), len(prompts), -1)
    return normalize(each.mean(dim=1), dim=-1)
