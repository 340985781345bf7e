"""In-context learning: the examples stand before the query in the language model's prompt."""

from collections.abc import Sequence
from typing import ClassVar, Literal, cast

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
    UsageError,
)
from methods._calibration import (
    CALIBRATE,
    Calibrate,
    answer_prefix,
    mean_log,
    mean_log_probability,
    require_calibration,
)
from methods._demonstrations import Demonstrations
from methods._prompt_folds import left_out


class InContextConfig(MethodConfig):
    """Hyper-parameters of in-context learning."""

    order: Literal["interleaved", "shuffled"] = Field(
        default="interleaved",
        description="interleaved: one demonstration of each class after another, in random order. shuffled: all at "
        "random.",
    )
    orders: int = Field(default=1, ge=1, le=64, description="Orders whose probabilities are averaged (classification).")
    calibrate: Calibrate = Field(default="none", description=CALIBRATE)


class InContext(ForwardMethod):
    """Demonstrations, each a prompt with its answer, then the query, which is answered as it would be without them.

    Classification: scores are the answers' log-probabilities; the demonstrations are run once for all queries of a
    batch. Text generation: the answer is what the model writes, and demonstrations leave room for it.

    A support set comes sorted by class, and a model leans towards the classes it read last. So demonstrations stand in
    rounds of one of each class, both at random by the problem's seed; where classes are of different size, the rounds
    without some of them come first. Whole demonstrations are dropped, oldest (first) first, until the rest fits with
    the longest query and answer of a batch, and what a budget leaves for tokens and state; the smallest number kept
    over all batches is in ``notes``. With several ``orders`` the same demonstrations are read in each, and
    probabilities are averaged; the tokens of all orders count.

    ``calibrate`` takes off the model's leaning towards some answers: the probability of an answer, among the answers,
    is divided by its mean probability p_cf over prompts that should favour none (contextual calibration). These are
    prompts without content, or the support prompts, each after demonstrations without itself. Default: none, as
    published; at one shot calibration can harm. Calibrating is part of adapting.

    In a task of chats, demonstrations are earlier turns of the conversation: the user's prompt and the assistant's
    answer, one after another, below a single system message.
    """

    Config = InContextConfig
    config: InContextConfig
    kinds = frozenset({Kind.TEXT_CLASSIFICATION, Kind.TEXT_GENERATION})
    family = "context"
    needs_language_model = kinds
    reads = InputMode.INPUTS
    episodes_at_once = 1
    source: ClassVar[str] = (
        "Brown et al. 2020, Language Models are Few-Shot Learners, arXiv 2005.14165; "
        "Zhao et al. 2021, Calibrate Before Use, arXiv 2102.09690; "
        "Holtzman et al. 2021, Surface Form Competition, arXiv 2104.08315 (calibrate)"
    )

    def __init__(self, config: InContextConfig, backbone: Backbone, shape: ProblemShape) -> None:
        super().__init__(config, backbone, shape)
        self._given = Demonstrations(backbone, shape, "in_context")
        if shape.kind is Kind.TEXT_GENERATION and (config.orders > 1 or config.calibrate != "none"):
            raise UsageError("orders and calibrate are options of classification, leave them out of text generation")
        require_calibration(config.calibrate, shape)
        self._orders: list[list[int]] = []
        self._leaning: list[Tensor] = []

    backbone: LanguageBackbone

    def observe(self, support: Support) -> None:
        """Write the batch's items out as demonstrations, each ended by the separator."""
        self._given.add(support)

    def solve(self) -> None:
        """Choose the orders, leave out what would not fit before even the shortest query, and calibrate."""
        generator, given = self.shape.generator(), self._given
        given.count_tokens()
        tokens = self.shape.limits.tokens
        order = self._arranged(range(len(given.texts)), generator)
        kept = given.within_limits(order, None if tokens is None else tokens // self.config.orders)
        self._orders = [kept, *(self._arranged(kept, generator) for _ in range(self.config.orders - 1))]
        if self.config.calibrate != "none" and given.texts:
            self._leaning = [self._measured_leaning(each) for each in self._orders]

    def _arranged(self, items: Sequence[int], generator: torch.Generator) -> list[int]:
        return self._given.arranged(items, generator, self.config.order == "interleaved")

    def _measured_leaning(self, order: Sequence[int]) -> Tensor:
        """``[way]``: logarithm of the mean probability of each answer over prompts that should favour none."""
        names = self._given.names
        if self.config.calibrate == "pmi":
            ending = answer_prefix(self.shape.content_free)
            return mean_log_probability(self.backbone.loglikelihood("", [ending], names))
        if self.config.calibrate == "content_free":
            return mean_log_probability(self._scored(order, self.shape.content_free))
        found = []
        for held, others in left_out(order):
            found.append(self._scored(others, [self._given.prompts[item] for item in held]))
        # Without a demonstration there is nothing to measure, and no answer is favoured.
        return mean_log_probability(torch.cat(found)) if found else torch.zeros(len(names))

    def _scored(self, order: Sequence[int], prompts: Sequence[str]) -> Tensor:
        """``[prompt, way]``, log-likelihoods of the answers after the demonstrations that fit."""
        names = self._given.names
        context, _ = self._given.context(order, prompts, self._given.longest_answer(names))
        return self.backbone.loglikelihood(self.shape.protocol.instructed(context), prompts, names)

    def predict(self, query: Query) -> Answers:
        """What the model answers after the demonstrations; see Method.predict for the shapes.

        Raises DataError if a query does not fit the model even without demonstrations.

        Returns:
            Scores ``[episode, item, way]``, or texts.
        """
        prompts, shape, given = query.inputs.episode(0), self.shape, self._given
        answers = []
        for order in self._orders or [[]]:
            context, kept = "", len(order)
            if prompts:
                context, kept = given.context(order, prompts, given.longest_answer(query.classes.names[0]))
                kept = min(kept, self.notes.get("demonstrations_kept", kept))
                self.notes |= {"demonstrations_kept": kept, "demonstrations_dropped": len(given.texts) - kept}
            answers.append(self.backbone.answer(query, shape.kind, shape.protocol, context))
        if len(answers) == 1 and not self._leaning:
            return answers[0]
        found = torch.stack([cast(Tensor, answer) for answer in answers]).log_softmax(dim=-1)
        if self._leaning:
            found = (found - torch.stack(self._leaning).to(found)[:, None, None]).log_softmax(dim=-1)
        return mean_log(found).masked_fill(~query.mask.unsqueeze(-1), 0)

    def state_bytes(self) -> int:
        """Bytes of the demonstrations as UTF-8 text; the key-value cache is rebuilt from it."""
        return sum(self._given.size(item) for item in (self._orders or [[]])[0])

    def context_tokens(self) -> int:
        """Tokens of the demonstrations, which stand before every query, in all orders."""
        return sum(self._given.tokens[item] for order in self._orders for item in order)


PLUGIN = InContext
