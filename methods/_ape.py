"""Choice of channels, and search of a cache's settings; shared by APE and APE-T."""

from collections.abc import Callable, Sequence
from itertools import product
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import normalize

from bench.contracts import Classes, MethodConfig, ProblemShape, Support, Tune
from methods._choice import chosen
from methods._held_out import Sample
from methods._moments import class_sums
from methods._pairs import without_padding
from methods._prior_strength import Auto

Weight = Annotated[float, Field(ge=0, le=1e3)]
START = {"alpha": 1.0, "beta": 1.0, "gamma": 0.1}
"""The published starting values."""
GRID = {"alpha": (0.1, 0.3, 1.0, 3.0, 7.0, 30.0, 100.0), "beta": (0.3, 1.0, 3.0, 7.0, 20.0), "gamma": (0.0, 0.3, 1.0)}
"""What ``auto`` chooses from. Published ranges end at 7, 7 and 1: zero-shot logits of CLIP are smaller than others."""


class RefinedCacheConfig(MethodConfig):
    """Hyper-parameters of APE and APE-T; alpha and beta are searched, as published."""

    prior: Literal["mix", "none"] = Field(
        default="mix", description="mix: zero-shot logits and the cache, as published. none: the cache alone."
    )
    alpha: Annotated[Weight | Auto, Tune(1e-2, 1e2, log=True)] = Field(
        default="auto",
        description="Weight of the cache beside the zero-shot logits; auto: the best from 0.1 to 100 when each example "
        "is left out.",
    )
    beta: Annotated[Weight | Auto, Tune(0.1, 1e2, log=True)] = Field(
        default="auto",
        description="Sharpness: a vote is exp(-beta * (1 - cosine)); auto: the best from 0.3 to 20 when each example "
        "is left out.",
    )
    channels: Annotated[float, Tune(0.1, 1.0)] = Field(
        default=0.7, gt=0, le=1, description="Share of a key's numbers that the cache compares."
    )
    similarity: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Weight of the classes' similarity in the choice of channels; their variance has the rest.",
    )


def best_channels(vectors: Tensor, count: int, similarity: float) -> Tensor:
    """Channels in which class vectors are least alike and vary most.

    Args:
        vectors: ``[episode, way, dim]``.
        count: Number of channels.
        similarity: Weight of the mean product over pairs of classes; the variance over classes has the rest.

    Returns:
        ``[episode, count]``, ascending positions.
    """
    vectors, n_way = vectors.double(), vectors.shape[1]
    pairs = vectors.sum(dim=1).square() - vectors.square().sum(dim=1)
    alike = pairs / max(1, n_way * (n_way - 1))
    variance = (vectors - vectors.mean(dim=1, keepdim=True)).square().sum(dim=1) / max(1, n_way - 1)
    criterion = (1 - similarity) * variance - similarity * alike
    return criterion.topk(count, dim=-1).indices.sort(dim=-1).values


def at_channels(keys: Tensor, channels: Tensor) -> Tensor:
    """Chosen channels of keys ``[episode, item, dim]``, at length 1.

    Args:
        keys: ``[episode, item, dim]``.
        channels: ``[episode, channel]``.

    Returns:
        ``[episode, item, channel]``.
    """
    # One episode at a time, which reads an index for all items once, where gather reads one for each number.
    return normalize(torch.stack([each.index_select(1, at) for each, at in zip(keys, channels, strict=True)]), dim=-1)


def is_searched(config: Any, field: str) -> bool:
    """Whether a field is chosen on the support set; without a prior alpha does not change which class is best.

    Args:
        config: The config.
        field: Name of the field.

    Returns:
        True for ``auto``.
    """
    return getattr(config, field) == "auto" and not (field == "alpha" and config.prior == "none")


def given(config: Any, fields: Sequence[str]) -> dict[str, float]:
    """Values of fields, those of ``auto`` at the published starting values.

    Args:
        config: The config.
        fields: Their names.

    Returns:
        Values by name.
    """
    return {name: START[name] if getattr(config, name) == "auto" else getattr(config, name) for name in fields}


def searched(
    config: Any, fields: Sequence[str], scores: Callable[[dict[str, float]], Tensor], labels: Tensor, mask: Tensor
) -> Tensor:
    """Values of the fields for each episode: given, or of best accuracy on items that were left out.

    The published starting values stay unless others are better by more than a standard error; see
    ``methods._choice.chosen``.

    Args:
        config: The config.
        fields: Names of its fields, that which is cheapest to change last.
        scores: From values of the fields to scores ``[episode, item, way]``.
        labels: ``[episode, item]``.
        mask: ``[episode, item]``, where the scores mean something.

    Returns:
        ``[episode, field]``.
    """
    first = given(config, fields)
    fixed = {field for field in fields if not is_searched(config, field)}
    settings = list(product(*((first[field],) if field in fixed else GRID[field] for field in fields)))
    settings = settings if len(settings) == 1 else [tuple(first.values()), *settings]
    table = torch.tensor(settings, device=labels.device)
    if len(settings) == 1:
        return table.expand(len(labels), -1)
    return table[chosen((scores(dict(zip(fields, each, strict=True))) for each in settings), labels, mask, "accuracy")]


def chosen_settings(config: Any, found: dict[str, Tensor]) -> dict[str, float]:
    """Medians over episodes of what was searched, for the record."""
    return {f"chosen_{name}": float(each.median()) for name, each in found.items() if getattr(config, name) == "auto"}


class ClassSource:
    """What stands for classes in the space of the keys: class embeddings where they are in it, or class means.

    They are in it where each item's key and prior are the same vector, as with CLIP.
    """

    def __init__(self, shape: ProblemShape, prior: str) -> None:
        self._shape, self._shared = shape, prior != "none" and shape.key_dim == shape.value_dim
        self._sums: Tensor | None = None
        self._classes: Classes | None = None

    def observe(self, items: "Support | Sample", classes: Classes) -> None:
        """Add a batch to the class sums, and see whether keys are priors."""
        keys, mask = items.keys, items.mask
        if self._shared and items.prior is not keys:
            self._shared = torch.equal(without_padding(items.prior, mask), without_padding(keys, mask))
        sums = class_sums(without_padding(keys, mask).double(), items.labels, mask, self._shape.n_way)
        self._sums = sums if self._sums is None else self._sums + sums
        self._classes = classes

    @property
    def observed(self) -> bool:
        """Whether there was any batch; without one there are no class vectors."""
        return self._sums is not None

    def vectors(self) -> Tensor:
        """``[episode, way, dim_k]`` of length 1; 0 for a class of which nothing is known."""
        assert self._sums is not None
        assert self._classes is not None
        return normalize(self._classes.class_embeddings.double() if self._shared else self._sums, dim=-1)
