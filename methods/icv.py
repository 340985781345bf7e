"""In-context vectors: what answers add to hidden states, added to the feed-forward outputs of every block."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, normalize

from bench.contracts import (
    Answers,
    Backbone,
    ForwardMethod,
    InputMode,
    Kind,
    LanguageBackbone,
    MethodConfig,
    ProblemShape,
    Query,
    Support,
    Tune,
)
from bench.toolkit.precision import has_float64
from methods._block_parts import feed_forwards
from methods._demonstrations import Demonstrations
from methods._prior_strength import Auto
from methods._prompt_ends import after_blocks, end_inputs
from methods._prompt_folds import MOST, best_setting, left_out

STRENGTHS = (0.1, 0.2, 0.05, 0.02, 0.01)
"""What ``auto`` chooses from, the published one first."""


class IcvConfig(MethodConfig):
    """Hyper-parameters of in-context vectors."""

    strength: Annotated[Annotated[float, Field(ge=0, le=10)] | Auto, Tune(1e-3, 1.0, log=True)] = Field(
        default="auto",
        description="Length of what is added to a state of length 1. auto: the published 0.1, or in classification the "
        "best from 0.01 to 0.2 on support items left out.",
    )


class Icv(ForwardMethod):
    """A vector for each block, added to the outputs of its feed-forward part at every token.

    A support item's difference is the state after each block at the last token of the prompt with its answer, less that
    of the prompt alone. The vectors v are the mean of the differences plus their first principal component, of all
    blocks together; it has length 1 and points to the side of the mean. An output x becomes
    ``|x| normalize(x / |x| + strength (1 + max(0, -cos(x, v))) v / |v|)``. Scored and written answers go through it; a
    query has no context.

    The authors set the strength for each task, to 0.1 or 0.12 in their code. Here it is chosen by accuracy on support
    items, each answered with vectors of the others (in at most five parts, at most 50 items); 0.1 stays unless another
    is better by more than a standard error.
    """

    Config = IcvConfig
    config: IcvConfig
    kinds = frozenset({Kind.TEXT_CLASSIFICATION, Kind.TEXT_GENERATION})
    needs_language_model = kinds
    needs_network = True
    reads = InputMode.INPUTS
    episodes_at_once = 1
    source = (
        "Liu et al. 2023, In-context Vectors: Making In Context Learning More Effective and Controllable Through "
        "Latent Space Steering, arXiv 2311.06668"
    )

    def __init__(self, config: IcvConfig, backbone: Backbone, shape: ProblemShape) -> None:
        super().__init__(config, backbone, shape)
        self._given = Demonstrations(backbone, shape, "icv")
        # Not modules of this method: they are the backbone's.
        self._outputs = tuple(feed_forwards(self.backbone, "icv"))
        self._differences: list[Tensor] = []
        self.strength = STRENGTHS[0] if config.strength == "auto" else config.strength
        self.register_buffer("vectors", torch.zeros(0, self.backbone.width))

    backbone: LanguageBackbone
    vectors: Tensor

    def observe(self, support: Support) -> None:
        """Run the batch's prompts with and without their answers, and keep the differences."""
        prompts = support.inputs.episode(0)
        if prompts:
            self._given.add(support)
            whole = [prompt + answer for prompt, answer in zip(prompts, support.completions(0), strict=True)]
            before = self.shape.protocol.instructed()
            # The states that the first block reads count too in the principal component, as published.
            places = [self.backbone.blocks[0], *after_blocks(self.backbone)]
            with_answers, alone = (end_inputs(self.backbone, before, texts, places) for texts in (whole, prompts))
            self._differences.append(with_answers - alone)

    def solve(self) -> None:
        """Choose the strength, and take the vectors from all items."""
        if not self._differences:
            return
        differences = torch.cat(self._differences)
        device = differences.device
        if not has_float64(device):
            self.notes["closed_forms"] = f"on the CPU, as {device.type} has no float64"
            differences = differences.cpu()
        self._differences = []
        if self.config.strength == "auto" and self.shape.kind is Kind.TEXT_CLASSIFICATION:
            self.strength = self._best_strength(differences, device)
            self.notes["chosen_strength"] = self.strength
        self.vectors = directions(differences).to(device)

    def _best_strength(self, differences: Tensor, device: torch.device) -> float:
        given = self._given
        order = given.arranged(range(len(given.texts)), self.shape.generator())
        if len(order) < 2:
            return STRENGTHS[0]
        scores: dict[float, list[Tensor]] = {strength: [] for strength in STRENGTHS}
        labels = []
        for held, others in left_out(order, MOST):
            labels += [given.labels[item] for item in held]
            self.vectors = directions(differences[others]).to(device)
            prompts = [given.prompts[item] for item in held]
            for strength in STRENGTHS:
                self.strength = strength
                with self.hooks_active():
                    found = self.backbone.loglikelihood(self.shape.protocol.instructed(), prompts, given.names)
                scores[strength].append(found)
        return STRENGTHS[best_setting(torch.stack([torch.cat(scores[strength]) for strength in STRENGTHS]), labels)]

    def predict(self, query: Query) -> Answers:
        """What the model answers with the vectors, or as it is where nothing was observed."""
        with self.hooks_active():
            return self.backbone.answer(query, self.shape.kind, self.shape.protocol)

    @contextmanager
    def hooks_active(self) -> Iterator[None]:
        """While this lasts, the vectors are added."""
        with ExitStack() as stack:
            for module, vector in zip(self._outputs, self.vectors, strict=False):
                stack.callback(module.register_forward_hook(self._adding(vector)).remove)
            yield

    def _adding(self, vector: Tensor) -> Any:
        strength = self.strength

        def hook(module: nn.Module, args: Any, output: Any) -> Any:
            # Mixtures of experts return the choice of experts besides.
            if isinstance(output, tuple):
                return (steered(output[0], vector, strength), *output[1:])
            return steered(output, vector, strength)

        return hook


def directions(differences: Tensor) -> Tensor:
    """The mean of differences plus their first principal component, on the side of the mean.

    Args:
        differences: ``[item, 1 + block, dim]``, of the states that the first block reads and those after each block.

    Returns:
        ``[block, dim]``, in float32.
    """
    values = differences.double().flatten(1)
    mean = values.mean(dim=0)
    centred = values - mean
    # Of a few items with many numbers each; the eigenvalues are ascending.
    component = normalize(torch.linalg.eigh(centred @ centred.mT).eigenvectors[:, -1] @ centred, dim=0)
    found = mean + torch.where(component @ mean < 0, -component, component)
    return found.view(differences.shape[1:])[1:].float()


def steered(states: Tensor, vector: Tensor, strength: float) -> Tensor:
    """States turned towards a vector, at their own length.

    Args:
        states: ``[..., dim]``.
        vector: ``[dim]``.
        strength: Length of what is added to a state of length 1.

    Returns:
        ``[..., dim]``.
    """
    read = states.float()
    against = cosine_similarity(read, -vector.expand_as(read), dim=-1).clamp(min=0).unsqueeze(-1)
    turned: Tensor = normalize(normalize(read, dim=-1) + strength * (1 + against) * normalize(vector, dim=-1), dim=-1)
    turned *= torch.linalg.vector_norm(read, dim=-1, keepdim=True)
    return turned.to(states.dtype)


PLUGIN = Icv
