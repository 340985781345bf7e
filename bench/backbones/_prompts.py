"""Class prompts, one or an ensemble of templates, as one direction per class."""

from collections.abc import Callable, Sequence

from torch import Tensor
from torch.nn.functional import normalize


def ensemble(embed: Callable[[list[str]], Tensor], names: Sequence[str], prompts: Sequence[str]) -> Tensor:
    """``[class, dim]`` unit vectors: the mean direction of a class's prompts (Radford et al., arXiv 2103.00020).

    embed: maps texts to ``[text, dim]``. prompts: templates with ``{label}`` in them.
    """
    texts = [prompt.replace("{label}", name) for name in names for prompt in prompts]
    each = normalize(embed(texts), dim=-1).view(len(names), len(prompts), -1)
    return normalize(each.mean(dim=1), dim=-1)
