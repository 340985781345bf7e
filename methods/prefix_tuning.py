"""Prefix tuning: keys and values of virtual tokens in every block, trained through the frozen language model."""

from typing import Annotated, Any, ClassVar, Literal

import torch
from peft import PrefixTuningConfig, TaskType
from pydantic import Field
from torch import Tensor
from torch.nn.functional import kl_div
from torch.nn.utils.rnn import pad_sequence
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from bench.contracts import Backbone, DataError, Kind, LanguageBackbone, ProblemShape, Support, Tune, UsageError
from bench.toolkit.hooks import output_layer
from methods._demonstrations import Demonstrations
from methods._prompt_ends import token_ids
from methods._virtual_tokens import SoftPromptMethod, VirtualConfig


class PrefixConfig(VirtualConfig):
    """Hyper-parameters of prefix tuning."""

    lr: Annotated[float, Tune(1e-4, 1e-1, log=True)] = Field(
        default=1e-2,
        gt=0,
        le=1,
        description="AdamW's rate, falling to 0 along a cosine; 1e-2 is peft's for keys and values trained "
        "themselves, the paper has 5e-5 for a network that makes them.",
    )
    start: Literal["vocabulary", "support"] = Field(
        default="vocabulary",
        description="Tokens whose keys and values are the start. vocabulary: drawn at random. support: the first of "
        "the demonstrations (cartridges).",
    )
    loss: Literal["labels", "distil"] = Field(
        default="labels",
        description="labels: cross-entropy of the answers. distil: divergence from the model with the other "
        "demonstrations in its context (cartridges).",
    )
    frozen_tokens: int = Field(
        default=0, ge=0, description="First virtual tokens that stay as they start; cartridges keep 1."
    )


class PrefixTuning(SoftPromptMethod):
    """Keys and values are trained themselves, without the paper's network that makes them, as by peft's default.

    They start as the model's own for tokens drawn from its vocabulary: the paper found activations of real words much
    better than random numbers where there are few examples, and of peft's random ones the model answers nonsense.

    Cartridges (Eyuboglu et al. 2025) are ``start=support``, ``loss=distil`` and ``frozen_tokens=1``: the start is the
    cache of the support text's own first tokens, and the loss KL(model with demonstrations || model with the prefix) at
    the tokens of each support item's answer, where the demonstrations are the others. As long as the whole
    text, and untrained, it answers as ``in_context`` does, if the tokenizer puts no token before a text.
    """

    Config: ClassVar[type[PrefixConfig]] = PrefixConfig
    config: PrefixConfig
    source = (
        "Li and Liang 2021, Prefix-Tuning: Optimizing Continuous Prompts for Generation, arXiv 2101.00190; "
        "Eyuboglu et al. 2025, Cartridges, arXiv 2506.06266 (start, loss, frozen_tokens)"
    )

    def __init__(self, config: PrefixConfig, backbone: Backbone, shape: ProblemShape) -> None:
        super().__init__(config, backbone, shape)
        if config.loss == "distil" and shape.kind is Kind.LANGUAGE_MODELLING:
            raise UsageError("loss=distil needs prompts with answers, got texts to model; use loss=labels")
        self._at_once = self.batch_size
        self._reads_all = config.start == "support" or config.loss == "distil"
        if self._reads_all:
            self.batch_size = None  # type: ignore[assignment]
        self._given = Demonstrations(backbone, shape, "prefix_tuning")
        self._answers: list[str] = []
        self._order: list[int] = []
        self._taught: dict[int, tuple[Tensor, int, Tensor]] = {}
        if config.frozen_tokens:
            self._weight.register_hook(self._without_frozen)  # type: ignore[no-untyped-call]

    backbone: LanguageBackbone

    @property
    def _weight(self) -> Tensor:
        """``[token, ...]``, what is trained."""
        (weight,) = self.trained()
        return weight

    def _without_frozen(self, gradient: Tensor) -> Tensor:
        free = torch.arange(len(gradient), device=gradient.device) >= self.config.frozen_tokens
        return gradient * free.unsqueeze(-1)

    def insert(self, adapted: LanguageBackbone) -> None:
        """Put the virtual tokens' keys and values before what the copy reads."""
        config = PrefixTuningConfig(task_type=TaskType.CAUSAL_LM, num_virtual_tokens=self.config.virtual_tokens)
        self.put_before(adapted, config)

    def optimizer(self) -> tuple[Optimizer, LRScheduler | None]:
        """AdamW on a cosine; without weight decay where tokens are frozen. Raises UsageError if all of them are."""
        config = self.config
        if config.frozen_tokens >= config.virtual_tokens:
            raise UsageError(
                f"frozen_tokens must be fewer than the {config.virtual_tokens} virtual tokens, got "
                f"{config.frozen_tokens}; lower it"
            )
        optimizer, schedule = super().optimizer()
        if config.frozen_tokens:
            for group in optimizer.param_groups:
                group["weight_decay"] = 0.0
        return optimizer, schedule

    def trainable_params(self) -> int:
        """Number of parameters that are trained, without those of frozen tokens."""
        return super().trainable_params() - self._weight[: self.config.frozen_tokens].numel()

    @torch.no_grad()
    def begin(self, support: Support) -> None:
        """Keep the whole support set, and start from it if wanted.

        Args:
            support: The whole support set.

        Raises:
            DataError: If it has fewer tokens than there are virtual ones.
        """
        given, count = self._given, self.config.virtual_tokens
        given.add(support)
        given.count_tokens()
        self._order = list(range(len(given.texts)))
        if self.shape.kind is not Kind.LANGUAGE_MODELLING:
            self._answers = support.completions(0)
            order = given.arranged(self._order, self.shape.generator())
            self._order = given.within_limits(order, self.shape.limits.tokens)
        if self.config.start != "support":
            return
        text = "".join(given.texts[item] for item in self._order)
        # Windows of a text come in its order, the shorter last one after the others.
        rows = [ids[mask.bool()] for each in self.backbone.tokens([text], count) for ids, mask in
                zip(each.ids, each.mask, strict=True)] if text else []  # fmt: skip
        if not rows or len(rows[0]) < count:
            raise DataError(
                f"virtual_tokens must be at most the {len(rows[0]) if rows else 0} tokens of the support text with "
                f"start=support, got {count}; lower it or use start=vocabulary"
            )
        cache = self.backbone.decoder(input_ids=rows[0][None], use_cache=True).past_key_values
        tokens: Any = self.adapted.virtual_tokens
        tokens.start_from(cache)

    def batch_loss(self, support: Support) -> Tensor:
        """Mean cross-entropy of the batch's examples, or the divergence from the model with demonstrations."""
        if self._reads_all and not self._given.texts:
            self.begin(support)
        return super().batch_loss(support) if self.config.loss == "labels" else self._divergence()

    def _texts(self, support: Support) -> list[tuple[Tensor, int]]:
        return self._drawn(super()._texts(support))

    def _completed(self, support: Support) -> list[tuple[Tensor, int]]:
        return self._drawn(super()._completed(support))

    def _drawn(self, examples: list[tuple[Tensor, int]]) -> list[tuple[Tensor, int]]:
        """The examples of a step, where it is given the whole support set."""
        if not self._reads_all:
            return examples
        return [examples[place] for place in torch.randperm(len(examples))[: self._at_once].tolist()]

    def _divergence(self) -> Tensor:
        """Mean of KL(model with demonstrations || model with the prefix) over the tokens of answers."""
        items = torch.randperm(len(self._given.texts))[: self._at_once].tolist()
        if not items:
            raise DataError("PrefixTuning trains on one example or more, got none")
        examples = [self._lesson(item) for item in items]
        ids = pad_sequence([row for row, _, _ in examples], batch_first=True)
        lengths = torch.tensor([len(row) for row, _, _ in examples], device=ids.device)
        mask = (torch.arange(ids.shape[1], device=ids.device) < lengths[:, None]).long()
        states = self.reader.decoder(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
        read = torch.cat([
            states[place, first - 1 : len(row) - 1] for place, (row, first, _) in enumerate(examples)
        ])  # fmt: skip
        own = output_layer(self.reader)(read).float().log_softmax(dim=-1)
        return kl_div(own, torch.cat([taught for _, _, taught in examples]), log_target=True, reduction="batchmean")

    @torch.no_grad()
    def _lesson(self, item: int) -> tuple[Tensor, int, Tensor]:
        """What is learnt of a support item.

        Args:
            item: The item.

        Returns:
            Tokens of its prompt with its answer, where the two part, and ``[token of the answer, vocabulary]``
            log-probabilities by the model after the other demonstrations.
        """
        if item not in self._taught:
            given, ending = self._given, self.shape.separator if self.shape.kind is Kind.TEXT_GENERATION else ""
            row, first = self._example(given.prompts[item], self._answers[item], ending)
            text = given.prompts[item] + self._answers[item] + ending
            context, _ = given.context([other for other in self._order if other != item], [text], 0)
            (whole,), count = token_ids(self.backbone, [context + text]), len(row) - first
            if not torch.equal(whole[-count:], row[first:].cpu()):
                raise DataError(f"loss=distil needs answers with the same tokens in any context, got {text[:60]!r}")
            ids = whole[None].to(row.device)
            states = self.backbone.decoder(input_ids=ids, use_cache=False).last_hidden_state[0, -count - 1 : -1]
            self._taught[item] = row, first, output_layer(self.backbone)(states).float().log_softmax(dim=-1)
        return self._taught[item]


PLUGIN = PrefixTuning
