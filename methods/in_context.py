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
from bench.toolkit.hidden_states import whole_texts

FOLDS = 5
"""Most parts of the demonstrations that are answered after the others, to calibrate by them."""


class InContextConfig(MethodConfig):
    """Hyper-parameters of in-context learning."""

    order: Literal["interleaved", "shuffled"] = Field(
        default="interleaved",
        description="interleaved: one demonstration of each class after another, in random order. shuffled: all at "
        "random.",
    )
    orders: int = Field(default=1, ge=1, le=64, description="Orders whose probabilities are averaged (classification).")
    calibrate: Literal["none", "content_free", "support"] = Field(
        default="none",
        description="What an answer's probability is divided by. none: nothing, as in GPT-3's paper. content_free: its "
        "probability where the text says nothing (Zhao et al. 2021). support: its mean over support prompts.",
    )


class InContext(ForwardMethod):
    """Demonstrations, each a prompt with its answer, then the query, which is answered as it would be without them.

    Classification: scores are the answers' log-probabilities; the demonstrations are run once for all queries of a
    batch. Translation: the answer is what the model writes, and demonstrations leave room for it.

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
    kinds = frozenset({Kind.TEXT_CLASSIFICATION, Kind.TRANSLATION})
    family = "context"
    needs_language_model = kinds
    reads = InputMode.INPUTS
    episodes_at_once = 1
    source: ClassVar[str] = (
        "Brown et al. 2020, Language Models are Few-Shot Learners, arXiv 2005.14165; "
        "Zhao et al. 2021, Calibrate Before Use, arXiv 2102.09690 (calibrate)"
    )

    def __init__(self, config: InContextConfig, backbone: Backbone, shape: ProblemShape) -> None:
        if not isinstance(backbone, LanguageBackbone):
            raise UsageError(
                f"in_context needs a language model, got {type(backbone).__name__}; choose a language backbone"
            )
        super().__init__(config, backbone, shape)
        if shape.kind is Kind.TRANSLATION and (config.orders > 1 or config.calibrate != "none"):
            raise UsageError("orders and calibrate are options of classification, leave them out of a translation")
        if config.calibrate == "content_free" and not shape.content_free:
            raise UsageError(
                "calibrate=content_free needs a task with content-free prompts, got one without; use calibrate=support"
            )
        self._texts: list[str] = []
        self._prompts: list[str] = []
        self._labels: list[int] = []
        self._tokens: list[int] = []
        self._orders: list[list[int]] = []
        self._names: Sequence[str] = ()
        self._leaning: list[Tensor] = []

    backbone: LanguageBackbone

    def observe(self, support: Support) -> None:
        """Write the batch's items out as demonstrations, each ended by the separator."""
        self._texts += whole_texts(support, self.shape)
        self._prompts += support.inputs.episode(0)
        self._labels += support.labels[0][support.mask[0]].tolist()
        self._names = support.classes.names[0]

    def solve(self) -> None:
        """Choose the orders, leave out what would not fit before even the shortest query, and calibrate."""
        generator = self.shape.generator()
        count = self.backbone.count_tokens
        # What one more of it takes: alone it would also count what begins a text, such as a system message.
        twice = count([text * 2 for text in self._texts])
        self._tokens = [both - one for both, one in zip(twice, count(self._texts), strict=True)]
        order = self._arranged(range(len(self._texts)), generator)
        limits, room = self.shape.limits, self.backbone.context_length
        if limits.tokens is not None:
            room = min(room, limits.tokens // self.config.orders)
        first = _first_that_fits([self._tokens[item] for item in order], room)
        if limits.state_bytes is not None:
            sizes = [len(self._texts[item].encode()) for item in order]
            first = max(first, _first_that_fits(sizes, limits.state_bytes))
        kept = order[first:]
        self._orders = [kept, *(self._arranged(kept, generator) for _ in range(self.config.orders - 1))]
        if self.config.calibrate != "none" and self._texts:
            self._leaning = [self._measured_leaning(each) for each in self._orders]

    def _arranged(self, items: Sequence[int], generator: torch.Generator) -> list[int]:
        """The items in a random order, and if wanted in rounds of one of each class, the incomplete rounds first."""
        items = sorted(items)
        shuffled = [items[place] for place in torch.randperm(len(items), generator=generator).tolist()]
        if self.config.order == "shuffled":
            return shuffled
        met: dict[int, int] = {}
        rounds = []
        for item in shuffled:
            rounds.append(met.setdefault(self._labels[item], 0))
            met[self._labels[item]] += 1
        return [shuffled[place] for place in sorted(range(len(shuffled)), key=lambda place: -rounds[place])]

    def _measured_leaning(self, order: Sequence[int]) -> Tensor:
        """``[way]``: logarithm of the mean probability of each answer over prompts that should favour none."""
        if self.config.calibrate == "content_free":
            return _mean_log_probability(self._scored(order, self.shape.content_free))
        # Neighbours in the order are of different classes, so that each part is about balanced.
        size = -(-len(order) // FOLDS)
        parts = [order[start : start + size] for start in range(0, len(order), size)]
        found = []
        for part in parts:
            others = [item for item in order if item not in part]
            found.append(self._scored(others, [self._prompts[item] for item in part]))
        # Without a demonstration there is nothing to measure, and no answer is favoured.
        return _mean_log_probability(torch.cat(found)) if found else torch.zeros(len(self._names))

    def _scored(self, order: Sequence[int], prompts: Sequence[str]) -> Tensor:
        """``[prompt, way]``, log-likelihoods of the answers after the demonstrations that fit."""
        context, _ = self._context(order, prompts, self._longest_answer(self._names))
        return self.backbone.loglikelihood(context, prompts, self._names)

    def predict(self, query: Query) -> Answers:
        """What the model answers after the demonstrations; see Method.predict for the shapes.

        Raises DataError if a query does not fit the model even without demonstrations.

        Returns:
            Scores ``[episode, item, way]``, or texts.
        """
        prompts, shape = query.inputs.episode(0), self.shape
        answers = []
        for order in self._orders or [[]]:
            context, kept = "", len(order)
            if prompts:
                context, kept = self._context(order, prompts, self._longest_answer(query.classes.names[0]))
                kept = min(kept, self.notes.get("demonstrations_kept", kept))
                self.notes |= {"demonstrations_kept": kept, "demonstrations_dropped": len(self._texts) - kept}
            answers.append(self.backbone.answer(query, shape.kind, shape.protocol, context))
        if len(answers) == 1 and not self._leaning:
            return answers[0]
        found = torch.stack([cast(Tensor, answer) for answer in answers]).log_softmax(dim=-1)
        if self._leaning:
            found = (found - torch.stack(self._leaning).to(found)[:, None, None]).log_softmax(dim=-1)
        return _mean_log(found).masked_fill(~query.mask.unsqueeze(-1), 0)

    def state_bytes(self) -> int:
        """Bytes of the demonstrations as UTF-8 text; the key-value cache is rebuilt from it."""
        return sum(len(self._texts[item].encode()) for item in (self._orders or [[]])[0])

    def context_tokens(self) -> int:
        """Tokens of the demonstrations, which stand before every query, in all orders."""
        return sum(self._tokens[item] for order in self._orders for item in order)

    def _longest_answer(self, names: Sequence[str]) -> int:
        """Tokens that an answer may take."""
        if self.shape.kind is Kind.TRANSLATION:
            return self.shape.protocol.max_new_tokens
        return max(self.backbone.count_tokens(names))

    def _context(self, order: Sequence[int], prompts: Sequence[str], answer: int) -> tuple[str, int]:
        """The demonstrations that fit before every one of the prompts with such an answer, and their number.

        Args:
            order: The demonstrations in order.
            prompts: The prompts.
            answer: Tokens of the longest answer.

        Returns:
            Their texts joined, and how many they are.
        """
        count = self.backbone.count_tokens
        texts = [self._texts[item] for item in order]
        room = self.backbone.context_length - answer
        length, longest = max(zip(count(prompts), prompts, strict=True))
        first = _first_that_fits([self._tokens[item] for item in order], room - length)
        context = "".join(texts[first:])
        # Parts tokenised together may count otherwise than the sum of the parts.
        while context and count([context + longest])[0] > room:
            first += 1
            context = "".join(texts[first:])
        return context, len(texts) - first


def _mean_log(values: Tensor) -> Tensor:
    """Logarithm of the mean over the first axis of probabilities, given and returned as logarithms."""
    return values.logsumexp(dim=0) - torch.tensor(float(len(values))).log()


def _mean_log_probability(scores: Tensor) -> Tensor:
    """``[way]``: logarithm of each answer's mean probability over prompts, from ``scores [prompt, way]``."""
    return _mean_log(scores.double().log_softmax(dim=-1))


def _first_that_fits(tokens: list[int], room: int) -> int:
    """Least index from which on all ``tokens`` together are at most ``room``."""
    first = len(tokens)
    while first > 0 and tokens[first - 1] <= room:
        first -= 1
        room -= tokens[first]
    return first


PLUGIN = InContext
