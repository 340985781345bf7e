"""Language models adapted by peft: a copy of the network with adapters in it, trained on the examples as texts."""

import warnings
from abc import abstractmethod
from typing import Any, ClassVar, cast

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler
from transformers import PreTrainedModel

from bench.contracts import (
    LANGUAGE,
    Answers,
    Backbone,
    DataError,
    GradientMethod,
    Kind,
    LanguageBackbone,
    MethodConfig,
    Query,
    Reads,
    Setting,
    Support,
    UsageError,
)
from methods._adapted import ClippedAdamW, copied

TEXTS_AT_ONCE = 8
"""Texts of a step unless the config says otherwise."""


class TunedConfig(MethodConfig):
    """What all adapters share; a method narrows ``lr`` to what is published for it."""

    lr: float = Field(gt=0, le=1, description="AdamW's initial rate; it falls to 0 along a cosine.")
    steps: int = Field(default=100, ge=1, le=1_000_000, description="Optimizer steps.")
    batch_size: int | None = Field(
        default=None, ge=1, description="Examples per step; by default 8 texts, of images (lora) 32."
    )
    window: int = Field(
        default=256, ge=2, description="Tokens of a text to model that one step reads; a longer text is cut into such."
    )


class Tuned(GradientMethod):
    """Cross-entropy of what should follow each prompt, by adapters in a copy of the frozen language model.

    In classification the loss is over the tokens of the answer, in translation over those of the translation and
    the separator after it, which teaches the model to stop, and in language modelling over all tokens of a text but
    the first; it is their mean over the batch. Of a text longer than the window, a step reads one window, drawn anew.
    The network stays in evaluation mode, and adapters are float32 whatever the network's precision.
    """

    kinds = LANGUAGE
    reads = Reads.INPUTS
    episodes_at_once = 1
    Config: ClassVar[type[TunedConfig]] = TunedConfig
    config: TunedConfig
    weight_decay: ClassVar[float] = 0.01

    def __init__(self, config: TunedConfig, backbone: Backbone, setting: Setting) -> None:
        super().__init__(config, backbone, setting)
        self.steps, self.batch_size = config.steps, config.batch_size or TEXTS_AT_ONCE
        self.adapted = self.adapt(backbone)
        self._in_float32()
        self._step = 0

    batch_size: int

    def adapt(self, backbone: Backbone) -> Backbone:
        """A copy of the backbone with adapters in it. Raises UsageError if it is no language model of transformers."""
        if not isinstance(backbone, LanguageBackbone) or not isinstance(backbone.causal_lm, PreTrainedModel):
            raise UsageError(
                f"{type(self).__name__} adapts language models of transformers, got {type(backbone).__name__}; "
                "choose a language backbone"
            )
        adapted = cast(LanguageBackbone, copied(backbone))
        with torch.random.fork_rng(), warnings.catch_warnings():
            # peft warns of settings that it then sets right by itself.
            warnings.simplefilter("ignore")
            torch.manual_seed(self.setting.seed)
            self.insert(adapted)
        return adapted

    @abstractmethod
    def insert(self, adapted: LanguageBackbone) -> None:
        """Put adapters into a copy of the backbone, for everything that it runs to go through."""

    def loss(self, support: Support) -> Tensor:
        """Mean cross-entropy of the batch, see the class; what is random depends on the seed and step alone."""
        self.adapted.eval()
        for name, module in self.adapted.named_modules():
            # Of the whole network, the adapters' own dropout alone is for training.
            if name.endswith("lora_dropout"):
                module.train()
        self._step += 1
        with torch.random.fork_rng():
            torch.manual_seed(self.setting.seed + self._step)
            return self.batch_loss(support)

    def batch_loss(self, support: Support) -> Tensor:
        """Mean cross-entropy over the tokens that are to be learnt. Raises DataError if there is no example."""
        examples = self._texts(support) if self.setting.kind is Kind.LANGUAGE_MODELLING else self._completed(support)
        if not examples:
            raise DataError(f"{type(self).__name__} trains on one example or more, got none")
        ids = pad_sequence([row for row, _ in examples], batch_first=True)
        position = torch.arange(ids.shape[1], device=ids.device)
        lengths = torch.tensor([len(row) for row, _ in examples], device=ids.device)
        firsts = torch.tensor([first for _, first in examples], device=ids.device)
        mask = position < lengths[:, None]
        wanted = (mask & (position >= firsts[:, None]))[:, 1:]
        network: Any = cast(LanguageBackbone, self.adapted).causal_lm
        hidden = network.base_model(input_ids=ids, attention_mask=mask.long(), use_cache=False).last_hidden_state
        # The output embedding is large, and most positions are of prompts.
        logits = network.get_output_embeddings()(hidden[:, :-1][wanted])
        return cross_entropy(logits.float(), ids[:, 1:][wanted])

    def _texts(self, support: Support) -> list[tuple[Tensor, int]]:
        """One window of each text, and 1, as nothing stands before its first token."""
        examples = []
        for text in support.inputs.episode(0):
            rows = [row for row in self._rows(text, self.config.window) if len(row) > 1]
            if not rows:
                raise DataError(f"a text must have two tokens or more to learn from, got {text[:60]!r}")
            examples.append((rows[int(torch.randint(len(rows), ()))], 1))
        return examples

    def _completed(self, support: Support) -> list[tuple[Tensor, int]]:
        """Each prompt with its completion, and where the two part: tokens are those of the joined text."""
        ending = self.setting.separator if self.setting.kind is Kind.TRANSLATION else ""
        examples = []
        for prompt, completion in zip(support.inputs.episode(0), support.completions(0), strict=True):
            stem, whole = self._row(prompt), self._row(prompt + completion + ending)
            shorter = min(len(stem), len(whole))
            first = int((stem[:shorter] == whole[:shorter]).long().cumprod(0).sum())
            if first == 0 or first == len(whole):
                raise DataError(f"a completion needs a token or more, after one or more of prompt; got {completion!r}")
            examples.append((whole, first))
        return examples

    def _rows(self, text: str, window: int | None) -> list[Tensor]:
        batches = cast(LanguageBackbone, self.adapted).tokens([text], window)
        return [ids[mask.bool()] for tokens in batches for ids, mask in zip(tokens.ids, tokens.mask, strict=True)]

    def _row(self, text: str) -> Tensor:
        rows = self._rows(text, None)
        if len(rows) > 1:
            room = cast(LanguageBackbone, self.adapted).context_length
            raise DataError(
                f"prompt and completion must fit {room} tokens, got {sum(map(len, rows))}: {text[:60]!r}; "
                "use shorter examples or a backbone that reads more"
            )
        return rows[0]

    def optimizer(self) -> tuple[Optimizer, LRScheduler | None]:
        """AdamW on a cosine, with gradients clipped to norm 1: there is one episode, so nothing is shared by it."""
        # A trainer of lower precision has cast the whole method by now.
        self._in_float32()
        optimizer = ClippedAdamW(self._trained(), lr=self.config.lr, weight_decay=self.weight_decay)
        return optimizer, CosineAnnealingLR(optimizer, T_max=self.config.steps)

    def predict(self, query: Query) -> Answers:
        """What the adapted model answers; see Method.predict for the shapes."""
        self.adapted.eval()
        return cast(LanguageBackbone, self.adapted).answer(query, self.setting.kind, self.setting.protocol)

    def state_bytes(self) -> int:
        """Bytes of the adapters; the network they stand in is the backbone's."""
        return sum(parameter.nbytes for parameter in self._trained())

    def _trained(self) -> list[Tensor]:
        return [parameter for parameter in self.parameters() if parameter.requires_grad]

    def _in_float32(self) -> None:
        for parameter in self._trained():
            parameter.data = parameter.data.float()
