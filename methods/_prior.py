"""The zero-shot prior as an option of classifiers on features that do not have it in their own formula."""

from typing import Annotated, Any, Literal

import torch
from pydantic import Field, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError
from torch import Tensor, nn

from bench.contracts import Backbone, Classes, EmbeddingUse, MethodConfig, ProblemShape, Query, Tune
from methods._choice import chosen
from methods._held_out import Sample

RELATIVE_WEIGHTS = (0.0, *(10 ** (halves / 2) for halves in range(-4, 7)))
"""Weights that ``auto`` chooses from beside that of ``mix``, with both scores at equal spread."""


class PriorConfig(MethodConfig):
    """Hyper-parameters of the zero-shot prior beside a classifier's own scores."""

    prior: Annotated[Literal["none", "mix", "auto"], Tune()] = Field(
        default="none",
        description="Zero-shot logits beside the classifier's scores. none: none, as its authors have it. mix: with "
        "prior_weight. auto: with a weight chosen by leaving support items out.",
    )
    prior_weight: float | None = Field(
        default=None,
        ge=0,
        le=1e9,
        description="What zero-shot logits are multiplied by (mix); by default N0 / N for N examples, with both scores "
        "at equal spread.",
    )

    @field_validator("prior_weight")
    @classmethod
    def _weight_of_mix_alone(cls, weight: float | None, info: ValidationInfo) -> float | None:
        if weight is not None and info.data.get("prior") != "mix":
            raise PydanticCustomError("prior", "a weight needs prior=mix, set it or leave the weight out")
        return weight


def use_of_prior(config: MethodConfig) -> EmbeddingUse:
    """What a classifier does with class embeddings: nothing without a prior, which it is to have otherwise.

    Args:
        config: Its config.

    Returns:
        The use.
    """
    return EmbeddingUse.UNUSED if isinstance(config, PriorConfig) and config.prior == "none" else EmbeddingUse.REQUIRED


class PriorTerm(nn.Module):
    """Zero-shot logits times a weight of each episode, added to a classifier's scores.

    ``scores + w * class_logits(prior)``. Scores of classifiers differ in size: a weight is relative to the ratio of the
    spreads of both scores over the support items, a spread being the root mean square of scores around their mean over
    classes. The default weight is ``N0 / N`` at equal spread, N0 being the prior strength of the task or the backbone:
    the shares that associative methods mix with (arXiv 2605.04651). ``auto`` chooses the likeliest weight by
    predictions for support items that were left out, 0 among them, and stays at the default weight unless another is
    better by more than a standard error. With one example per class there is no item to leave out, and the default
    weight stays.
    """

    def __init__(self, config: PriorConfig, backbone: Backbone, shape: ProblemShape) -> None:
        """Make an empty term.

        Args:
            config: The method's config.
            backbone: The frozen model.
            shape: Sizes and settings of the problem.
        """
        super().__init__()
        object.__setattr__(self, "backbone", backbone)
        self.config, self.shape = config, shape
        self.used = config.prior != "none"
        self.searched = config.prior == "auto"
        self.register_buffer("weight", torch.zeros(shape.n_episodes if self.used else 0, 1, 1))

    backbone: Backbone
    weight: Tensor
    """``[episode, 1, 1]``; of no episode where the prior is not used."""

    def fit(
        self, episodes: slice, sample: Sample, classes: Classes, count: Tensor, scores: Tensor,
        left_out: Tensor | None, mask: Tensor | None,
    ) -> None:  # fmt: skip
        """Set the weights of some episodes.

        Args:
            episodes: The episodes.
            sample: Support items of each.
            classes: The classes of all episodes.
            count: ``[episode]``, N of each.
            scores: ``[episode, item, way]``, scores of the sample by the classifier that was adapted to all items.
            left_out: The same by classifiers that were adapted without the item; None unless the weight is searched.
            mask: ``[episode, item]``, where ``left_out`` means something.
        """
        given = self.config.prior_weight
        if given is not None:
            self.weight[episodes] = given
            return
        part = Classes(classes.class_embeddings[episodes], classes.names[episodes])
        zero_shot = self.backbone.class_logits(sample.prior, part)
        unit = spread(scores, sample.mask) / spread(zero_shot, sample.mask).clamp(min=1e-12)
        default = self.shape.prior_strength / count.clamp(min=1).to(unit).view(-1, 1, 1)
        relative = [default, *(torch.full_like(default, each) for each in RELATIVE_WEIGHTS)]
        if left_out is not None and mask is not None:
            best = chosen((left_out + each * unit * zero_shot for each in relative), sample.labels, mask, "likelihood")
            default = torch.stack(relative).gather(0, best.view(1, -1, 1, 1))[0]
        self.weight[episodes] = default * unit

    def add(self, scores: Tensor, query: Query) -> Tensor:
        """Scores with the prior's.

        Args:
            scores: ``[episode, item, way]`` of the classifier.
            query: The items.

        Returns:
            ``[episode, item, way]``.
        """
        if not self.used:
            return scores
        return scores + self.weight * self.backbone.class_logits(query.prior, query.classes)

    def notes(self) -> dict[str, Any]:
        """The median weight of the episodes, where it was searched."""
        return {"chosen_prior_weight": float(self.weight.median())} if self.searched else {}


def spread(scores: Tensor, mask: Tensor) -> Tensor:
    """Root mean square of scores around their mean over classes.

    Args:
        scores: ``[episode, item, way]``.
        mask: ``[episode, item]``, the items that count.

    Returns:
        ``[episode, 1, 1]``.
    """
    around = (scores - scores.mean(dim=-1, keepdim=True)).square().mean(dim=-1).masked_fill(~mask, 0)
    return (around.sum(dim=1) / mask.sum(dim=1).clamp(min=1)).sqrt().view(-1, 1, 1)
