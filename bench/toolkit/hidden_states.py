"""Hidden-state site: memories inside a language model, before some blocks and before the final norm.

Perplexity, answers and generation all go through the hooked memories (FAAST, arXiv 2605.04651).
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
from bench.toolkit.precision import has_float64, without_autocast
from bench.toolkit.readout_files import read_readouts


class HiddenStateConfig(MethodConfig):
    """Hyper-parameters of every memory on hidden states."""

    output_mix: Annotated[float, Tune()] = Field(
        default=0.9, ge=0, le=1, description="Share of the memory's answer in the state before the final norm."
    )
    readouts: Path | None = Field(
        default=None,
        description="A safetensors file of trained readouts; without it the output memory works alone.",
    )
    window: int = Field(default=1024, ge=2, description="Tokens of support text that are read at a time, at most.")


class HiddenStateMethod(ForwardMethod):
    """Memories of the support text's hidden states, mixed into the model's states.

    At every position with a next token, the key is the hidden state. The value is the next hidden state (middle
    memories, which need trained readouts) or the next token's input embedding (the output memory, before the final
    norm). Each example is a text of its own: its prompt with its answer.

    A subclass defines ``make_memory``.

    Attributes:
        places: Modules with a memory before them, the final norm last.
        memories: The memories, one for each place.
        scorers: Vectors ``[1, 2 width]`` of the gates of the middle memories.
        outs: Projections ``[width, width]`` of the middle memories.
    """

    kinds = LANGUAGE
    needs_language_model = LANGUAGE
    reads = InputMode.INPUTS
    episodes_at_once = 1
    Config: ClassVar[type[HiddenStateConfig]] = HiddenStateConfig
    config: HiddenStateConfig

    def __init__(self, config: HiddenStateConfig, backbone: Backbone, shape: ProblemShape) -> None:
        if not isinstance(backbone, LanguageBackbone):
            raise UsageError(f"site=hidden_states needs a language model, got {type(backbone).__name__}")
        super().__init__(config, backbone, shape)
        readouts = read_readouts(config.readouts, backbone.width) if config.readouts else []
        self.scorers, self.outs = (
            nn.ParameterList([nn.Parameter(getattr(each, name), requires_grad=False) for each in readouts])
            for name in ("scorer", "out")
        )
        blocks = list(backbone.blocks)
        self.places = [*(blocks[layer] for layer in memory_layers(len(blocks), len(readouts))), backbone.final_norm]
        memories = [self.make_memory(backbone.width) for _ in self.places]
        self.memories: Sequence[Memory] = nn.ModuleList(memories)  # type: ignore[assignment]
        self.notes["readouts"] = str(config.readouts or "none: the output memory works alone")
        self.notes["support_tokens"] = 0

    backbone: LanguageBackbone

    @abstractmethod
    def make_memory(self, width: int) -> Memory:
        """An empty memory of one episode.

        Args:
            width: Width of keys and values, that of a hidden state.

        Returns:
            A memory that observes ``[1, token, width]`` with a mask ``[1, token]``.
        """

    def readout_bytes(self) -> int:
        """Bytes of the readouts, the state outside the memories."""
        return sum(parameter.nbytes for parameter in (*self.scorers, *self.outs))

    def observe(self, support: Support) -> None:
        """Run the batch's texts through the unchanged model and store the pairs in the memories.

        Args:
            support: A batch of one episode.
        """
        for tokens in self.backbone.tokens(whole_texts(support, self.shape), self.config.window):
            self.learn(tokens.ids, tokens.mask)

    def learn(self, ids: Tensor, mask: Tensor) -> None:
        """Observe one batch of tokens.

        Args:
            ids: ``[text, position]``, padded on the right.
            mask: ``[text, position]``, 0 where there is padding.
        """
        states: list[Tensor] = []
        with input_hooks([(place, states.append) for place in self.places]), torch.no_grad():
            self.backbone.decoder(input_ids=ids, attention_mask=mask, use_cache=False)
        # Both the position and the one that follows must be real.
        real = (mask[:, 1:] * mask[:, :-1]).bool().reshape(1, -1)
        following = self.backbone.embed(ids)
        for number, (memory, state) in enumerate(zip(self.memories, states, strict=True)):
            keys = state[:, :-1].float()
            last = number == len(self.scorers)
            values = (following if last else state)[:, 1:].float()
            with without_autocast(state):
                if not last:
                    values = gated_values(keys, values, self.scorers[number])
                pairs = [keys.reshape(1, -1, keys.shape[-1]), values.reshape(1, -1, values.shape[-1]), real]
                if not has_float64(ids.device):
                    self.notes["closed_forms"] = f"on the CPU, as {ids.device.type} has no float64"
                    memory.cpu()
                    pairs = [tensor.cpu() for tensor in pairs]
                memory.observe(*pairs)
        self.notes["support_tokens"] += int(real.sum())

    def solve(self) -> None:
        """Finish every memory."""
        device = next(self.backbone.parameters()).device
        for memory in self.memories:
            memory.solve()
            if not has_float64(device):
                memory.to(device)

    @contextmanager
    def hooks_active(self) -> Iterator[None]:
        """A context in which every forward pass of the backbone goes through the memories."""
        places = [(place, self._middle(number)) for number, place in enumerate(self.places[:-1])]
        with input_hooks([*places, (self.places[-1], self._output)]):
            yield

    def _middle(self, number: int) -> Any:
        def change(states: Tensor) -> Tensor:
            with without_autocast(states):
                answer = _read(self.memories[number], states)
                added: Tensor = (answer @ self.outs[number].mT).to(states.dtype)
            return states + added

        return change

    def _output(self, states: Tensor) -> Tensor:
        share = self.config.output_mix
        with without_autocast(states):
            mixed: Tensor = (1 - share) * states.float() + share * _read(self.memories[-1], states)
        return mixed.to(states.dtype)

    def predict(self, query: Query) -> Answers:
        """Answers of the model with its memories, or of the unchanged model where nothing was observed.

        Args:
            query: A batch of one episode.

        Returns:
            Scores or texts, see ``Method.predict``.
        """
        with self.hooks_active() if self.notes["support_tokens"] else nullcontext():
            return self.backbone.answer(query, self.shape.kind, self.shape.protocol)


def _read(memory: Memory, states: Tensor) -> Tensor:
    """Values ``[text, position, dim]`` recalled for hidden states of that shape, in float32."""
    answer = memory.read(states.float().reshape(1, -1, states.shape[-1]))
    return answer.view(*states.shape[:-1], -1)


def whole_texts(support: Support, shape: ProblemShape) -> list[str]:
    """Support items of one episode as texts to learn from.

    Args:
        support: A batch of one episode.
        shape: The episode's problem, for the separator and the kind of task.

    Returns:
        Each prompt with its answer and the separator; a text to model as it is.
    """
    texts: list[str] = support.inputs.episode(0)
    if support.targets is None and shape.n_way == 1:
        return texts
    return [text + completion + shape.separator for text, completion in zip(texts, support.completions(0), strict=True)]
