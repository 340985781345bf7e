"""Retrieved demonstrations: the support examples most similar to a query stand before it in the prompt."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Annotated, ClassVar, Literal, cast

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from bench.contracts import (
    Answers,
    Backbone,
    ForwardMethod,
    InputMode,
    Inputs,
    Kind,
    LanguageBackbone,
    MethodConfig,
    ProblemShape,
    Query,
    Support,
    Tune,
    UsageError,
)
from methods._bm25 import Bm25
from methods._calibration import CALIBRATE, Calibrate, answer_prefix, mean_log_probability, require_calibration
from methods._demonstrations import Demonstrations, first_that_fits

PROMPTS_AT_ONCE = 32
"""Prompts that are embedded together."""


class RetrievedContextConfig(MethodConfig):
    """Hyper-parameters of retrieved demonstrations."""

    similarity: Literal["bm25", "embedding", "random"] = Field(
        default="bm25",
        description="bm25: of the words of the prompts. embedding: cosine of the model's last states at the prompts' "
        "last tokens. random: none, the same demonstrations for all queries.",
    )
    m: Annotated[int, Tune(1, 32, log=True)] = Field(
        default=4, ge=1, le=4096, description="Demonstrations before a query, or all where there are fewer."
    )
    per_class: int = Field(
        default=0, ge=0, le=256, description="At least as many of each class among them (classification)."
    )
    calibrate: Calibrate = Field(default="none", description=CALIBRATE)


class RetrievedContext(ForwardMethod):
    """For each query the ``m`` support examples most similar to it, the most similar last, right before the query.

    All else is as in ``in_context``. ``similarity=random`` is its control: the last ``m`` demonstrations of the order
    that ``in_context`` has. Of equally similar examples, those later in that order are taken first. The least similar
    are dropped where the rest does not fit the model or a budget of tokens; the smallest number kept over all queries
    is in ``notes``. The state is the text of all examples, and with ``embedding`` their states besides.

    Calibrating by prompts without content takes them after each query's own demonstrations, when it is answered.
    """

    Config = RetrievedContextConfig
    config: RetrievedContextConfig
    kinds = frozenset({Kind.TEXT_CLASSIFICATION, Kind.TEXT_GENERATION})
    family = "context"
    needs_language_model = kinds
    reads = InputMode.INPUTS
    episodes_at_once = 1
    source: ClassVar[str] = (
        "Liu et al. 2021, What Makes Good In-Context Examples for GPT-3?, arXiv 2101.06804; "
        "Robertson and Zaragoza 2009, The Probabilistic Relevance Framework: BM25 and Beyond (bm25)"
    )

    def __init__(self, config: RetrievedContextConfig, backbone: Backbone, shape: ProblemShape) -> None:
        super().__init__(config, backbone, shape)
        self._given = Demonstrations(backbone, shape, "retrieved_context")
        if shape.kind is Kind.TEXT_GENERATION and (config.per_class or config.calibrate != "none"):
            raise UsageError("per_class and calibrate are options of classification, leave them out of text generation")
        if config.per_class * shape.n_way > config.m:
            raise UsageError(
                f"m must be at least per_class times {shape.n_way} classes, {config.per_class * shape.n_way}; "
                f"got {config.m}; raise m or lower per_class"
            )
        require_calibration(config.calibrate, shape)
        self._order: list[int] = []
        self._index: Bm25 | Tensor | None = None
        self._leaning: Tensor | None = None

    backbone: LanguageBackbone

    def observe(self, support: Support) -> None:
        """Write the batch's items out as demonstrations, each ended by the separator."""
        self._given.add(support)

    def solve(self) -> None:
        """Leave out what the budget has no room to store, index the rest, and calibrate."""
        given, by_embedding = self._given, self.config.similarity == "embedding"
        given.count_tokens()
        order = given.arranged(range(len(given.texts)), self.shape.generator())
        bytes_each = self.shape.key_dim * 4 if by_embedding else 0
        if by_embedding and order:
            embedded = self._embedded(given.prompts)
            bytes_each = embedded[0].nbytes
        self._order = given.within_state(order, bytes_each)
        if self._order and by_embedding:
            self._index = embedded[self._order]
        elif self._order and self.config.similarity == "bm25":
            self._index = Bm25([given.prompts[item] for item in self._order])
        if not self._order or self.config.calibrate in ("none", "content_free"):
            return
        prompts = [given.prompts[item] for item in self._order]
        if self.config.calibrate == "pmi":
            found = self.backbone.loglikelihood("", [answer_prefix(self.shape.content_free)], given.names)
        else:
            joined = [
                context + prompt
                for context, prompt in zip(self._contexts(prompts, given.names, self._order), prompts, strict=True)
            ]
            found = self.backbone.loglikelihood(self.shape.protocol.instructed(), joined, given.names)
        self._leaning = mean_log_probability(found)

    def _embedded(self, prompts: Sequence[str]) -> Tensor:
        """``[prompt, dim]``, of unit length, on the CPU."""
        parts = [prompts[start : start + PROMPTS_AT_ONCE] for start in range(0, len(prompts), PROMPTS_AT_ONCE)]
        prepared = [[self.backbone.prepare(prompt) for prompt in part] for part in parts]
        return torch.cat([self.backbone.encode(self.backbone.collate(part)).keys.cpu() for part in prepared])

    def _similarities(self, prompts: Sequence[str]) -> np.ndarray:
        """``[prompt, stored item]``."""
        if isinstance(self._index, Bm25):
            return np.stack([self._index.scores(prompt) for prompt in prompts])
        if self._index is None:
            return np.zeros((len(prompts), len(self._order)))
        found: np.ndarray = (self._embedded(prompts) @ self._index.mT).numpy()
        return found

    def nearest(self, prompts: Sequence[str], without: Sequence[int] = ()) -> Iterator[list[int]]:
        """The demonstrations of each prompt.

        Args:
            prompts: The prompts.
            without: An item for each prompt that is not to be among them; empty for none.

        Yields:
            Positions of support items, the nearest last.
        """
        for number, similar in enumerate(self._similarities(prompts) if prompts else ()):
            # Rounded, so that of examples that are equal but for rounding the same is taken on every machine.
            ranked = [self._order[place] for place in np.argsort(similar.round(5), kind="stable")]
            if without:
                ranked.remove(without[number])
            yield self._picked(ranked)

    def _picked(self, ranked: Sequence[int]) -> list[int]:
        """The last ``m`` of items in order, with at least ``per_class`` of each class."""
        taken: set[int] = set()
        met: dict[int, int] = {}
        for item in reversed(ranked):
            label = self._given.labels[item]
            met[label] = met.get(label, 0) + 1
            if met[label] <= self.config.per_class:
                taken.add(item)
        for item in reversed(ranked):
            if len(taken) < self.config.m:
                taken.add(item)
        return [item for item in ranked if item in taken]

    def _contexts(self, prompts: Sequence[str], names: Sequence[str], without: Sequence[int] = ()) -> list[str]:
        """The text before each prompt."""
        given, limit = self._given, self.shape.limits.tokens
        longest, found = given.longest_answer(names), []
        for prompt, order in zip(prompts, self.nearest(prompts, without), strict=True):
            if limit is not None:
                order = order[first_that_fits([given.tokens[item] for item in order], limit) :]
            context, kept = given.context(order, [prompt], longest)
            found.append(context)
            if not without:
                self.notes["demonstrations_kept"] = min(kept, self.notes.get("demonstrations_kept", kept))
        return found

    def predict(self, query: Query) -> Answers:
        """What the model answers after each query's demonstrations; see Method.predict for the shapes.

        Raises DataError if a query does not fit the model even without demonstrations.

        Returns:
            Scores ``[episode, item, way]``, or texts.
        """
        prompts, shape, names = query.inputs.episode(0), self.shape, query.classes.names[0]
        contexts = self._contexts(prompts, names) if self._order else [""] * len(prompts)
        if self.config.calibrate == "content_free" and self._order:
            return self._by_content_free(query, prompts, contexts)
        joined = [context + prompt for context, prompt in zip(contexts, prompts, strict=True)]
        places = np.where(query.mask.cpu().numpy(), query.mask.cumsum(dim=1).cpu().numpy() - 1, -1)
        whole = replace(query, inputs=Inputs(places, lambda wanted: [joined[place] for place in wanted]))
        found = self.backbone.answer(whole, shape.kind, shape.protocol)
        if self._leaning is None:
            return found
        calibrated = (cast(Tensor, found).log_softmax(dim=-1) - self._leaning.to(query.prior)).log_softmax(dim=-1)
        return calibrated.masked_fill(~query.mask.unsqueeze(-1), 0)

    def _by_content_free(self, query: Query, prompts: Sequence[str], contexts: Sequence[str]) -> Tensor:
        names, free = query.classes.names[0], self.shape.content_free
        scores = query.prior.new_zeros(*query.mask.shape, len(names))
        rows = []
        for prompt, context in zip(prompts, contexts, strict=True):
            before = self.shape.protocol.instructed(context)
            found = self.backbone.loglikelihood(before, [prompt, *free], names).double().log_softmax(dim=-1)
            rows.append((found[0] - mean_log_probability(found[1:])).log_softmax(dim=-1))
        if rows:
            scores[query.mask] = torch.stack(rows).to(scores)
        return scores

    def state_bytes(self) -> int:
        """Bytes of the stored examples as UTF-8 text, and of their embeddings; an index of words is rebuilt from it."""
        stored = self._index.nbytes if isinstance(self._index, Tensor) else 0
        return stored + sum(self._given.size(item) for item in self._order)

    def context_tokens(self) -> int:
        """Tokens of the ``m`` longest examples, or of the budget if less: the most that stand before a query."""
        most = sum(sorted(self._given.tokens[item] for item in self._order)[-self.config.m :])
        return min(most, self.backbone.context_length, self.shape.limits.tokens or most)


PLUGIN = RetrievedContext
