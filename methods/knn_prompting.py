"""kNN prompting: queries are answered as the support prompts with the nearest next-token distributions are labelled."""

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

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
from bench.toolkit.hooks import output_layer
from bench.toolkit.precision import has_float64
from methods._demonstrations import Demonstrations
from methods._prompt_ends import next_tokens

TINY = 1e-30
"""Least probability that a logarithm is taken of."""


class KnnPromptingConfig(MethodConfig):
    """Hyper-parameters of kNN prompting; k is published."""

    k: Annotated[int, Tune(1, 64, log=True)] = Field(
        default=3, ge=1, le=65_536, description="Neighbours that vote, or all where fewer are stored."
    )
    demonstrations: Annotated[int, Field(ge=0, le=4096)] | Literal["auto"] = Field(
        default="auto",
        description="Demonstrations of each class before every prompt. auto: as many as fit, at most half of a class.",
    )
    keep: int | None = Field(
        default=100, ge=1, description="Largest probabilities that are stored of each distribution; null for all."
    )


class KnnPrompting(ForwardMethod):
    """Next-token distributions of support prompts, the anchors, after the same demonstrations as each query.

    Some of each class are demonstrations, the others anchors. The anchors of smallest divergence KL(anchor || query)
    vote for their classes; of classes with as many votes, that of the nearer anchor is first. Only the ``keep`` largest
    probabilities of an anchor are stored, and the rest as one: the divergence is that of both distributions with all
    other tokens taken together.
    """

    Config = KnnPromptingConfig
    config: KnnPromptingConfig
    family = "memory"
    kinds = frozenset({Kind.TEXT_CLASSIFICATION})
    needs_language_model = kinds
    needs_network = True
    reads = InputMode.INPUTS
    episodes_at_once = 1
    source: ClassVar[str] = (
        "Xu et al. 2023, kNN Prompting: Beyond-Context Learning with Calibration-Free Nearest Neighbor Inference, "
        "ICLR 2023, arXiv 2303.13824"
    )

    def __init__(self, config: KnnPromptingConfig, backbone: Backbone, shape: ProblemShape) -> None:
        super().__init__(config, backbone, shape)
        self._given = Demonstrations(backbone, shape, "knn_prompting")
        self._context, self._shown = "", list[int]()
        self.register_buffer("tokens", torch.zeros(0, 0, dtype=torch.int32))
        self.register_buffer("probabilities", torch.zeros(0, 0))
        self.register_buffer("labels", torch.zeros(0, dtype=torch.int32))

    backbone: LanguageBackbone
    tokens: Tensor
    probabilities: Tensor
    labels: Tensor

    def observe(self, support: Support) -> None:
        """Keep the batch's prompts and labels until all are there."""
        self._given.add(support)

    def solve(self) -> None:
        """Choose the demonstrations, and store the distributions after the other prompts.

        Raises UsageError if the demonstrations wanted do not fit, or leave no anchor.
        """
        given = self._given
        if not given.texts:
            return
        given.count_tokens()
        order = given.arranged(range(len(given.texts)), self.shape.generator())
        self._shown = self._chosen(order)
        shown = set(self._shown)
        self._context = "".join(given.texts[item] for item in self._shown)
        anchors = [item for item in reversed(order) if item not in shown]
        self.notes |= {"demonstrations": len(shown), "anchors": len(anchors)}
        if (limit := self.shape.limits.state_bytes) is not None:
            vocabulary = output_layer(self.backbone).weight.shape[0]
            each = 8 * min(self.config.keep or vocabulary, vocabulary) + 4
            most = max(0, limit - self._context_bytes()) // each
            anchors = anchors[:most]
        if not anchors:
            return
        found = self._next_tokens([given.prompts[item] for item in anchors]).exp()
        top = found.topk(min(self.config.keep or found.shape[1], found.shape[1]), dim=1)
        self.tokens, self.probabilities = top.indices.int(), top.values
        self.labels = torch.tensor([given.labels[item] for item in anchors], dtype=torch.int32, device=found.device)

    def _next_tokens(self, prompts: list[str]) -> Tensor:
        """``[prompt, token]``, log-probabilities of the next token after instruction, demonstrations and prompt."""
        return next_tokens(self.backbone, self.shape.protocol.instructed(self._context), prompts)

    def _chosen(self, order: list[int]) -> list[int]:
        """The demonstrations: the last whole rounds of an order that fit, or as many as wanted."""
        given, wanted = self._given, self.config.demonstrations
        by_class = [[item for item in order if given.labels[item] == label] for label in sorted(set(given.labels))]
        smallest = min(map(len, by_class))
        room = given.room(given.longest_answer(given.names)) - max(self.backbone.count_tokens(given.prompts))
        if self.shape.limits.tokens is not None:
            room = min(room, self.shape.limits.tokens)
        if self.shape.limits.state_bytes is not None:
            room = min(room, self.shape.limits.state_bytes // 2)

        def rounds(count: int) -> list[int]:
            taken = {item for items in by_class for item in items[len(items) - count :]}
            return [item for item in order if item in taken]

        def fits(count: int) -> bool:
            return sum(given.tokens[item] for item in rounds(count)) <= room

        if wanted == "auto":
            return rounds(next(count for count in range(smallest // 2, -1, -1) if count == 0 or fits(count)))
        if wanted >= smallest and len(order) == wanted * len(by_class):
            raise UsageError(
                f"demonstrations={wanted} must leave an example of a class to compare with, got {smallest} in the "
                f"smallest class; use at most {smallest - 1}"
            )
        if wanted > smallest or not fits(wanted):
            most = max(count for count in range(min(wanted, smallest) + 1) if count == 0 or fits(count))
            raise UsageError(
                f"demonstrations={wanted} of each class must fit {room} tokens and {smallest} examples of the smallest "
                f"class; use at most {most}, or auto"
            )
        return rounds(wanted)

    def divergences(self, queries: Tensor) -> Tensor:
        """KL(anchor || query) with the tokens that are not stored taken together.

        Args:
            queries: ``[query, token]`` log-probabilities.

        Returns:
            ``[query, anchor]`` in nats, on the CPU where the device has no float64.
        """
        tokens, anchors = self.tokens.long(), self.probabilities
        if not has_float64(queries.device):
            self.notes["closed_forms"] = f"on the CPU, as {queries.device.type} has no float64"
            tokens, anchors, queries = tokens.cpu(), anchors.cpu(), queries.cpu()
        anchors = anchors.double()
        rest = (1 - anchors.sum(dim=1)).clamp(min=0)
        # Of whole distributions the rest is rounding.
        rest = rest.where(torch.tensor(anchors.shape[1] < queries.shape[1], device=rest.device), 0)
        found = []
        for query in queries.double():
            own = query[tokens]
            left = (1 - own.exp().sum(dim=1)).clamp(min=TINY)
            terms = torch.xlogy(anchors, anchors.clamp(min=TINY)) - anchors * own
            found.append(terms.sum(dim=1) + torch.xlogy(rest, rest.clamp(min=TINY)) - rest * left.log())
        return torch.stack(found)

    def predict(self, query: Query) -> Answers:
        """Votes of the nearest anchors; of the model itself where nothing is stored. See Method.predict for shapes."""
        prompts = query.inputs.episode(0)
        if len(self.labels) == 0:
            return self.backbone.answer(query, self.shape.kind, self.shape.protocol, self._context)
        scores = query.prior.new_zeros(*query.mask.shape, query.classes.n_way)
        if not prompts:
            return scores
        divergences = self.divergences(self._next_tokens(prompts))
        near = divergences.argsort(dim=1, stable=True)[:, : self.config.k].to(self.labels.device)
        voted = torch.nn.functional.one_hot(self.labels[near].long(), query.classes.n_way).to(scores)
        # The nearest vote of a class adds less than a vote, and more the nearer it is.
        place = torch.arange(1, near.shape[1] + 1, device=near.device).to(scores)
        nearest = (voted / (1 + place)[None, :, None]).amax(dim=1)
        scores[query.mask] = (voted.sum(dim=1) + nearest).to(scores)
        return scores

    def _context_bytes(self) -> int:
        return sum(self._given.size(item) for item in self._shown)

    def state_bytes(self) -> int:
        """Bytes of the anchors' distributions and labels, and of the demonstrations as UTF-8 text."""
        return super().state_bytes() + self._context_bytes()

    def context_tokens(self) -> int:
        """Tokens of the demonstrations."""
        return sum(self._given.tokens[item] for item in self._shown)


PLUGIN = KnnPrompting
