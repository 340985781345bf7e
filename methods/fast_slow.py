"""Fast-Slow Training: prompts evolve between steps of reinforcement learning on LoRA, each on what the other made."""

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from bench.contracts import (
    Answers,
    Backbone,
    Continual,
    DataError,
    Inputs,
    Kind,
    LanguageBackbone,
    ProblemShape,
    Query,
    Support,
)
from bench.toolkit.chat import USER
from methods._adapters import AdapterMethod
from methods._answer_scores import answer_scores
from methods._fast_slow_config import FastSlowConfig
from methods._fast_slow_loss import divergence, drawn_answers, expected_loss, sampled_loss
from methods._prompt_evolution import Evolution, Graded, Operators, Prompt
from methods._prompted_items import PromptedItems

WARM_UP = 10
"""Steps over which the rate rises."""
WRITTEN = 40
"""Tokens of an instruction that a reflection model writes."""


class FastSlow(Continual, AdapterMethod):
    """Cycles of two steps: prompts evolve on the items of the next steps, then LoRA is trained with these prompts.

    A prompt is an instruction and demonstrations; an item is never shown in its own prompt. Fast step: GEPA's rules
    with the present LoRA, scores being right answers (``methods/_prompt_evolution.py``). Slow step: for each item
    ``rollouts`` answers, shared among the prompts, are drawn from the softmax of the answers' log-probabilities; their
    advantage is taken over all of them, so that a prompt that does better on an item has its answers pushed into LoRA.
    In the end the prompt that is best on a part of the support set that was held out stands before the queries.

    ``exact`` has the same expected gradient as ``rl`` but for the division by the standard deviation and a factor 1 - 1
    / rollouts. ``supervised`` differs from it by the factor 1 / pi of each item. The paper trains all weights of
    Qwen3-8B by rollouts of whole texts; this is its small version on classification.
    """

    kinds = frozenset({Kind.TEXT_CLASSIFICATION})
    needs_language_model = kinds
    needs_network = True
    Config: ClassVar[type[FastSlowConfig]] = FastSlowConfig
    config: FastSlowConfig
    source = (
        "Learning, Fast and Slow: Towards LLMs That Adapt Continually, arXiv 2605.12484; Agrawal et al. 2025, GEPA: "
        "Reflective Prompt Evolution Can Outperform Reinforcement Learning, arXiv 2507.19457"
    )

    def __init__(self, config: FastSlowConfig, backbone: Backbone, shape: ProblemShape) -> None:
        super().__init__(config, backbone, shape)
        # The whole support set at each step: an evolution looks ahead at the items of the next steps.
        self._items_of_step, self.batch_size = self.batch_size, None  # type: ignore[assignment]
        if not config.slow:
            self.idle = nn.Parameter(torch.zeros(()))
            self.steps = -(-config.steps // config.steps_per_cycle) if config.fast else 1
        # Kept out of the children, as the backbone is.
        object.__setattr__(self, "reflection", backbone)
        self._restart()

    backbone: LanguageBackbone
    reflection: LanguageBackbone
    """The frozen model that writes instructions; by default the backbone."""

    def _restart(self) -> None:
        """Begin with the seed prompt, before the first item of a support set."""
        config = self.config
        self._given = PromptedItems(self.reader, self.shape, "fast_slow")
        self._generator = self.shape.generator()
        reflect = self._reflected if config.proposer == "model" else None
        operators = Operators(config.demonstrations, True, self._generator, reflect)
        self._evolution = Evolution(config.population, self._grade, operators)
        self._chosen, self._validation = Prompt(), list[int]()
        self._training: list[int] = []
        self._began = self._step
        self._batches: Iterator[list[int]] = iter(())
        self._ahead: list[list[int]] = []
        self._anchor: Sequence[int] = ()
        self._curve: list[dict[str, Any]] = []

    def insert(self, adapted: LanguageBackbone) -> None:
        """Put updates into the copy, unless nothing is trained."""
        if self.config.slow:
            super().insert(adapted)

    def trained(self) -> list[Tensor]:
        """The updates."""
        return super().trained() if self.config.slow else []

    def trainable_params(self) -> int:
        """Number of entries of the updates."""
        return sum(parameter.numel() for parameter in self.trained())

    def continue_adapt(self) -> None:
        """Begin with the seed prompt again, and with LoRA as it is."""
        self._examples.clear()
        self._restart()

    def language_model(self) -> LanguageBackbone | None:
        """The model with LoRA, without a prompt; None where LoRA is not trained."""
        return self.reader if self.config.slow else None

    def batch_loss(self, support: Support) -> Tensor:
        """Loss of a step, after an evolution where a cycle begins. Raises DataError if there is no example."""
        if not self._given.texts:
            self._begin(support)
        place = self._step - self._began - 1
        if not self.config.slow or place % self.config.steps_per_cycle == 0:
            self._look_ahead()
        if not self.config.slow:
            return self.idle * 0.0
        self.ready()  # scoring prompts has put the adapters' dropout to rest
        return self._slow_loss(self._evolution.population, self._ahead.pop(0))

    def _slow_loss(self, prompts: Sequence[Prompt], items: Sequence[int]) -> Tensor:
        """The objective, mean over prompts and items, with the divergence from the base model."""
        config = self.config
        if config.objective == "supervised" and not config.kl:
            return self._cross_entropy(prompts, items)
        scores = self._policy_scores(prompts, items)
        labels = torch.tensor([self._given.labels[item] for item in items], device=scores.device)
        if config.objective == "supervised":
            loss = self._cross_entropy(prompts, items)
        else:
            loss = expected_loss(scores, labels) if config.objective == "exact" else self._sampled(scores, labels)
        if config.kl:
            base = self._scored(self.backbone, prompts, items).float().to(scores)
            loss = loss + config.kl * divergence(scores, base)
        return loss

    def _begin(self, support: Support) -> None:
        given, config, self._classes = self._given, self.config, support.classes
        given.add(support)
        if not given.texts:
            raise DataError("fast_slow trains on one example or more, got none")
        given.count_tokens()
        # Turns of a chat leave no room for a text before them.
        self._evolution.operators.instructs = USER not in given.prompts[0]
        share = config.validation if config.fast else 0.0
        for label in sorted(set(given.labels)):
            own = [item for item, each in enumerate(given.labels) if each == label]
            self._validation += own[len(own) - int(share * len(own)) :]
        self._training = [item for item in range(len(given.texts)) if item not in set(self._validation)]
        self._batches = self._drawn_batches()

    def _drawn_batches(self) -> Iterator[list[int]]:
        """Endless batches in shuffled epochs, those that the harness draws where all items are trained on."""
        items, size, rng = self._training, self._items_of_step, np.random.default_rng(self.shape.seed)
        while size >= len(items):
            yield items
        while True:
            order = rng.permutation(len(items))
            for start in range(0, len(items) - size + 1, size):
                yield [items[place] for place in order[start : start + size]]

    def _look_ahead(self) -> None:
        """Draw the items of the next steps, and let prompts evolve on them."""
        self._ahead = [next(self._batches) for _ in range(self.config.steps_per_cycle)]
        anchor = list(dict.fromkeys(item for batch in self._ahead for item in batch))
        with torch.no_grad():
            score = self._evolution.cycle(anchor, self.config.fast_calls * len(anchor)) if self.config.fast else None
            self._note_cycle(anchor, score)

    def _note_cycle(self, anchor: Sequence[int], score: float | None) -> None:
        """Keep where the training stands: score of the best prompt and of none, and the divergence without a prompt."""
        self._anchor = anchor
        present = self._scored(self.reader, [Prompt()], anchor)[0]
        right = torch.tensor([self._given.labels[item] for item in anchor])
        self._curve.append(
            {
                "steps": max(0, self._step - self._began - 1) if self.config.slow else 0,
                "metric_calls": self._evolution.calls,
                "evolved": score,
                "plain": float((present.argmax(dim=-1) == right).double().mean()),
                "kl": float(divergence(present, self._scored(self.backbone, [Prompt()], anchor)[0])),
            }
        )

    def finish(self) -> None:
        """Choose the prompt by what was held out."""
        if not self._given.texts:
            return
        self._step += 1
        self._note_cycle(self._anchor, None)
        if self.config.fast:
            self._chosen = self._evolution.best(self._validation)
        self.notes |= {
            "fast_slow_curve": self._curve,
            "instruction": self._chosen.instruction,
            "demonstrations": len(self._chosen.demonstrations),
            "metric_calls": self._evolution.calls,
        }
        self.notes["kl_to_base"] = self._curve[-1]["kl"]

    def optimizer(self) -> tuple[Optimizer, LRScheduler | None]:
        """AdamW without decay, its rate constant after a linear warm-up."""
        self.in_float32()
        parameters = self.trained() or [self.idle]
        optimizer = AdamW(parameters, lr=self.config.lr, betas=(0.9, 0.999), weight_decay=0.0)
        return optimizer, LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / WARM_UP))

    def predict(self, query: Query) -> Answers:
        """What the model with LoRA answers after the chosen prompt; scores ``[episode, item, way]``."""
        self.reader.eval()
        prompts, chosen = query.inputs.episode(0), self._chosen
        if not prompts or self.config.prompt == "seed" or chosen == Prompt():
            return self.reader.answer(query, self.shape.kind, self.shape.protocol)
        opening = self._given.opening(chosen)
        longest = self._given.longest_answer(query.classes.names[0])
        shown, _ = self._given.context(chosen.demonstrations, [opening + prompt for prompt in prompts], longest)
        return self.reader.answer(query, self.shape.kind, self.shape.protocol, opening + shown)

    def state_bytes(self) -> int:
        """Bytes of LoRA, and of the chosen prompt as UTF-8 text."""
        return sum(parameter.nbytes for parameter in self.trained()) + self._given.prompt_bytes(self._chosen)

    def context_tokens(self) -> int:
        """Tokens of the chosen prompt, which stand before every query."""
        if self.config.prompt == "seed" or self._chosen == Prompt():
            return 0
        return self._given.prompt_tokens(self._chosen)

    def _policy_scores(self, prompts: Sequence[Prompt], items: Sequence[int]) -> Tensor:
        """``[prompt, item, way]`` of the model with LoRA, with gradients."""
        found = answer_scores(self.reader, self._given.rendered(prompts, items), self._given.names)
        return found.view(len(prompts), len(items), -1)

    def _scored(self, model: LanguageBackbone, prompts: Sequence[Prompt], items: Sequence[int]) -> Tensor:
        """``[prompt, item, way]`` of the model with LoRA or without, in evaluation mode, on the CPU."""
        model.eval()
        found = model.loglikelihood("", self._given.rendered(prompts, items), self._given.names).double()
        return found.view(len(prompts), len(items), -1)

    def _grade(self, prompt: Prompt, items: Sequence[int]) -> Graded:
        if not self._given.fits(prompt, items):
            return Graded((0.0,) * len(items), -math.inf)
        policy = self._scored(self.reader, [prompt], items)[0].log_softmax(dim=-1)
        labels = torch.tensor([self._given.labels[item] for item in items])
        right = (policy.argmax(dim=-1) == labels).double()
        return Graded(tuple(right.tolist()), float(policy.gather(-1, labels.unsqueeze(-1)).mean()))

    def _sampled(self, scores: Tensor, labels: Tensor) -> Tensor:
        number, prompts = self.config.rollouts, len(scores)
        rollouts = [number // prompts + (place < number % prompts) for place in range(prompts)]
        return sampled_loss(scores, labels, drawn_answers(scores, rollouts, self._generator), self.config.clip)

    def _cross_entropy(self, prompts: Sequence[Prompt], items: Sequence[int]) -> Tensor:
        """Mean cross-entropy of the right answers' tokens, as LoRA alone is trained."""
        answers = [self._given.names[self._given.labels[item]] for item in items]
        places, none = np.arange(len(items))[None], torch.zeros(1, len(items), 0)
        mask, labels = torch.ones(1, len(items), dtype=torch.bool), torch.zeros(1, len(items), dtype=torch.long)
        losses = []
        for texts in [self._given.rendered([prompt], items) for prompt in prompts]:
            inputs = Inputs(places, partial(_taken, texts))
            part = Support(none, none, mask, self._classes, inputs, labels, partial(_taken, answers))
            losses.append(super().batch_loss(part))
        return torch.stack(losses).mean()

    def _reflected(self, instruction: str, failed: Sequence[int]) -> str:
        """An instruction that the reflection model writes after the present one and what failed."""
        shown = "".join(self._given.texts[item] for item in failed)
        request = (
            f"Instruction: {instruction or 'none'}\nThese were answered wrongly; the right answers are given:\n{shown}"
            "A better instruction in one line:"
        )
        return self.reflection.generate([request], WRITTEN)[0].strip() or instruction


def _taken(texts: Sequence[str], positions: Sequence[int]) -> list[str]:
    """The texts at some positions."""
    return [texts[position] for position in positions]


PLUGIN = FastSlow
