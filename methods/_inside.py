"""Memories inside a language model: input_hooks in before some blocks and before the final norm, so that scoring,
perplexity and generation all go through them (FAAST, arXiv 2605.04651).
"""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from bench.contracts import (
    LANGUAGE,
    Answers,
    Backbone,
    ForwardMethod,
    InputMode,
    LanguageBackbone,
    Memory,
    MethodConfig,
    ProblemShape,
    Query,
    Support,
    Tune,
    UsageError,
)
from bench.toolkit.hooks import gated_values, input_hooks, memory_layers
from bench.toolkit.readout_files import read_readouts
from methods._examples import whole_texts


class HiddenStateConfig(MethodConfig):
    """What all memories inside a model share."""

    output_mix: Annotated[float, Tune()] = Field(
        default=0.9, ge=0, le=1, description="Share of the memory's answer in the state before the final norm."
    )
    readouts: Path | None = Field(
        default=None,
        description="A safetensors file of trained readouts; without it the output memory works alone.",
    )
    window: int = Field(default=1024, ge=2, description="Tokens of support text that are read at a time, at most.")


class HiddenStateMemory(ForwardMethod):
    """Learns pairs of hidden states from the support text, and changes the model's states by what it learnt.

    At every position whose next token is real, the key is the hidden state there. The value is the next hidden state
    (middle memories, which need trained readouts) or the next token's input embedding (the output memory, before the
    final norm). Each example is a text of its own: its prompt with its answer.
    """

    kinds = LANGUAGE
    reads = InputMode.INPUTS
    episodes_at_once = 1
    Config: ClassVar[type[HiddenStateConfig]] = HiddenStateConfig
    config: HiddenStateConfig

    def __init__(self, config: HiddenStateConfig, backbone: Backbone, shape: ProblemShape) -> None:
        if not isinstance(backbone, LanguageBackbone):
            raise UsageError(f"a memory inside a language model needs one, got {type(backbone).__name__}")
        super().__init__(config, backbone, shape)
        readouts = read_readouts(config.readouts, backbone.width) if config.readouts else []
        self.scorers, self.outs = (
            nn.ParameterList([nn.Parameter(getattr(each, name), requires_grad=False) for each in readouts])
            for name in ("scorer", "out")
        )
        blocks = list(backbone.blocks)
        self._places = [*(blocks[site] for site in memory_layers(len(blocks), len(readouts))), backbone.final_norm]
        memories = [self.make_memory(backbone.width) for _ in self._places]
        self.memories: Sequence[Memory] = nn.ModuleList(memories)  # type: ignore[assignment]
        self.notes["readouts"] = str(config.readouts or "none: the output memory works alone")
        self.notes["support_tokens"] = 0

    backbone: LanguageBackbone

    @abstractmethod
    def make_memory(self, width: int) -> Memory:
        """An empty memory of one episode whose keys and values are ``width`` wide."""

    def readout_bytes(self) -> int:
        """Bytes of the state that no memory holds."""
        return sum(parameter.nbytes for parameter in (*self.scorers, *self.outs))

    def observe(self, support: Support) -> None:
        """Run the batch's texts through the model as it is, and have the memories take in the pairs."""
        for tokens in self.backbone.tokens(whole_texts(support, self.shape), self.config.window):
            self.learn(tokens.ids, tokens.mask)

    def learn(self, ids: Tensor, mask: Tensor) -> None:
        """Take in one batch of tokens ``[text, position]``, padded on the right."""
        states: list[Tensor] = []
        with input_hooks([(place, states.append) for place in self._places]), torch.no_grad():
            self.backbone.decoder(input_ids=ids, attention_mask=mask, use_cache=False)
        # Both the position and the one that follows must be real.
        real = (mask[:, 1:] * mask[:, :-1]).bool().reshape(1, -1)
        following = self.backbone.embed(ids)
        for number, (memory, state) in enumerate(zip(self.memories, states, strict=True)):
            keys = state[:, :-1].float()
            last = number == len(self.scorers)
            values = (following if last else state)[:, 1:].float()
            if not last:
                values = gated_values(keys, values, self.scorers[number])
            memory.observe(keys.reshape(1, -1, keys.shape[-1]), values.reshape(1, -1, values.shape[-1]), real)
        self.notes["support_tokens"] += int(real.sum())

    def solve(self) -> None:
        """Have the memories finish."""
        for memory in self.memories:
            memory.solve()

    @contextmanager
    def hooks_active(self) -> Iterator[None]:
        """While this lasts, everything that the backbone runs goes through the memories."""
        places = [(place, self._middle(number)) for number, place in enumerate(self._places[:-1])]
        with input_hooks([*places, (self._places[-1], self._output)]):
            yield

    def _middle(self, number: int) -> Any:
        def change(states: Tensor) -> Tensor:
            answer = _read(self.memories[number], states)
            added: Tensor = (answer @ self.outs[number].mT).to(states.dtype)
            return states + added

        return change

    def _output(self, states: Tensor) -> Tensor:
        share = self.config.output_mix
        mixed: Tensor = (1 - share) * states.float() + share * _read(self.memories[-1], states)
        return mixed.to(states.dtype)

    def predict(self, query: Query) -> Answers:
        """What the model answers with the memories attached; see Method.predict for the shapes.

        Without a support set the memories know nothing, and the model answers as it is.
        """
        with self.hooks_active() if self.notes["support_tokens"] else nullcontext():
            return self.backbone.answer(query, self.shape.kind, self.shape.protocol)


def _read(memory: Memory, states: Tensor) -> Tensor:
    """The memory's answer ``[text, position, dim]`` to hidden states of that shape, in float32."""
    answer = memory.read(states.float().reshape(1, -1, states.shape[-1]))
    return answer.view(*states.shape[:-1], -1)
