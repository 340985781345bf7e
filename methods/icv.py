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
    UsageError,
)
from bench.toolkit.precision import has_float64
from methods._block_parts import feed_forwards
from methods._prompt_ends import after_blocks, end_inputs


class IcvConfig(MethodConfig):
    """Hyper-parameters of in-context vectors; the strength is published."""

    strength: Annotated[float, Tune(1e-3, 1.0, log=True)] = Field(
        default=0.1, ge=0, le=10, description="Length of what is added to a state of length 1."
    )


class Icv(ForwardMethod):
    """A vector for each block, added to the outputs of its feed-forward part at every token.

    A support item's difference is the state after a block at the last token of the prompt with its answer, less that of
    the prompt alone. The vector v is their mean plus their first principal component, which has length 1 and points
    to the side of the mean. An output x becomes ``|x| normalize(x / |x| + strength (1 + max(0, -cos(x, v))) v / |v|)``.
    Scored and written answers go through it; a query has no context.
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
        if not isinstance(backbone, LanguageBackbone):
            raise UsageError(f"icv needs a language model, got {type(backbone).__name__}; choose a language backbone")
        super().__init__(config, backbone, shape)
        # Not modules of this method: they are the backbone's.
        self._outputs = tuple(feed_forwards(backbone, "icv"))
        self._differences: list[Tensor] = []
        self.register_buffer("vectors", torch.zeros(0, backbone.width))

    backbone: LanguageBackbone
    vectors: Tensor

    def observe(self, support: Support) -> None:
        """Run the batch's prompts with and without their answers, and keep the differences."""
        prompts = support.inputs.episode(0)
        if prompts:
            whole = [prompt + answer for prompt, answer in zip(prompts, support.completions(0), strict=True)]
            places = after_blocks(self.backbone)
            with_answers, alone = (end_inputs(self.backbone, "", texts, places) for texts in (whole, prompts))
            self._differences.append(with_answers - alone)

    def solve(self) -> None:
        """The mean and the first principal component of each block's differences."""
        if self._differences:
            differences = torch.cat(self._differences)
            device = differences.device
            if not has_float64(device):
                self.notes["closed_forms"] = f"on the CPU, as {device.type} has no float64"
                differences = differences.cpu()
            self.vectors = torch.stack([direction(each) for each in differences.unbind(dim=1)]).to(device)
            self._differences = []

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
        def hook(module: nn.Module, args: Any, output: Any) -> Any:
            # Mixtures of experts return the choice of experts besides.
            if isinstance(output, tuple):
                return (steered(output[0], vector, self.config.strength), *output[1:])
            return steered(output, vector, self.config.strength)

        return hook


def direction(differences: Tensor) -> Tensor:
    """The mean of differences plus their first principal component, on the side of the mean.

    Args:
        differences: ``[item, dim]``.

    Returns:
        ``[dim]``, in float32.
    """
    values = differences.double()
    mean = values.mean(dim=0)
    if len(values) == 1:
        return mean.float()
    component = torch.linalg.svd(values - mean, full_matrices=False).Vh[0]
    return (mean + torch.where(component @ mean < 0, -component, component)).float()


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
