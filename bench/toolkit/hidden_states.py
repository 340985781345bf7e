"""Hidden-state site: memories inside a language model, before some blocks and before the final norm.

Perplexity, answers and generation all go through the hooked memories (FAAST, arXiv 2605.04651).
"""

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

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
from bench.toolkit.memory_pairs import memory_keys, memory_values
from bench.toolkit.precision import has_float64, without_autocast
from bench.toolkit.readout_files import Readouts, read_readouts


class HiddenStateConfig(MethodConfig):
    """Hyper-parameters of every memory on hidden states."""

    output_mix: Annotated[float, Tune()] = Field(
        default=0.9, ge=0, le=1, description="Share of the memory's answer in the state before the final norm."
    )
    readouts: Path | None = Field(
        default=None,
        description="A safetensors file of trained readouts, or the name of packaged ones, smollm2_135m_docs "
        "or smollm2_135m_mixed; without it the output memory works alone.",
    )
    pairs: Literal["all", "answers", "shuffled"] = Field(
        default="all",
        description="all: a pair at every position of a support text. answers: where the next token is one of the "
        "answer alone; in language modelling every token is. shuffled: a control, keys with the values of other "
        "positions that are read with them.",
    )
    window: int = Field(default=1024, ge=2, description="Tokens of support text that are read at a time, at most.")


class HiddenStateMethod(ForwardMethod):
    """Memories of the support text's hidden states, mixed into the model's states.

    At every position with a next token, the key is the hidden state. The value is the next hidden state (middle
    memories, which need trained readouts) or the next token's input embedding (the output memory, before the final
    norm). Readouts may have been trained with other keys and values, which their file then says, and may have a
    projection of the output memory's answer, which then takes the place of ``output_mix``. Each example is a text of
    its own: its prompt with its answer.

    A subclass defines ``make_memory``.

    Attributes:
        places: Modules with a memory before them, the final norm last.
        memories: The memories, one for each place.
        scorers: Vectors ``[1, 2 width]`` of the gates of the middle memories.
        outs: Projections ``[width, width]`` of the middle memories, then that of the output memory if there is one.
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
        readouts = read_readouts(config.readouts, backbone.width) if config.readouts else Readouts()
        self._keys, self._values = readouts.keys, readouts.values
        outs = [each.out for each in readouts.middle] + ([] if readouts.output is None else [readouts.output])
        self.scorers = _fixed([each.scorer for each in readouts.middle])
        self.outs = _fixed(outs)
        blocks = list(backbone.blocks)
        layers = memory_layers(len(blocks), len(readouts.middle))
        self.places = [*(blocks[layer] for layer in layers), backbone.final_norm]
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
        texts = whole_texts(support, self.shape)
        if self.config.pairs == "answers" and texts != (prompts := support.inputs.episode(0)):
            for text, prompt in zip(texts, prompts, strict=True):
                self._learn_answer(text, prompt)
            return
        for tokens in self.backbone.tokens(texts, self.config.window):
            self.learn(tokens.ids, tokens.mask)

    def _learn_answer(self, text: str, prompt: str) -> None:
        """Observe the pairs of a text whose next token is not one of its prompt.

        Raises:
            UsageError: If the text is longer than a window.
        """
        whole, begun = (list(self.backbone.tokens([each], self.config.window)) for each in (text, prompt))
        if len(whole) > 1 or len(whole[0].ids) > 1:
            raise UsageError(
                f"pairs=answers needs examples of at most window={self.config.window} tokens, and one is longer: "
                f"{text[:60]!r}; use a longer window or pairs=all"
            )
        ids, before = whole[0].ids, begun[0].ids
        size = min(before.shape[1], ids.shape[1])
        # Joining can change the prompt's last tokens; the answer begins with the first that is not the prompt's.
        same = int((ids[0, :size] == before[0, :size]).long().cumprod(dim=0).sum())
        following = torch.arange(1, ids.shape[1], device=ids.device)
        self.learn(ids, whole[0].mask, (following >= same).unsqueeze(0))

    def learn(self, ids: Tensor, mask: Tensor, stored: Tensor | None = None) -> None:
        """Observe one batch of tokens.

        Args:
            ids: ``[text, position]``, padded on the right.
            mask: ``[text, position]``, 0 where there is padding.
            stored: ``[text, position - 1]``, False for positions that make no pair; None for all.
        """
        states: list[Tensor] = []
        with input_hooks([(place, states.append) for place in self.places]), torch.no_grad():
            output = self.backbone.decoder(input_ids=ids, attention_mask=mask, use_cache=False)
        # Both the position and the one that follows must be real.
        real = (mask[:, 1:] * mask[:, :-1]).bool()
        real = (real if stored is None else real & stored).reshape(1, -1)
        with without_autocast(states[0]):
            last = output.last_hidden_state
            found = memory_values(self.backbone, states, len(self.scorers), ids, last, self._keys, self._values)
        order = self._shuffled(real[0]) if self.config.pairs == "shuffled" else None
        for number, (memory, state, values) in enumerate(zip(self.memories, states, found, strict=True)):
            with without_autocast(state):
                keys = memory_keys(state[:, :-1], self._keys)
                if number < len(self.scorers):
                    values = gated_values(keys, values, self.scorers[number])
                values = values if order is None else values.flatten(0, 1)[order]
                pairs = [keys.reshape(1, -1, keys.shape[-1]), values.reshape(1, -1, values.shape[-1]), real]
                if not has_float64(ids.device):
                    self.notes["closed_forms"] = f"on the CPU, as {ids.device.type} has no float64"
                    memory.cpu()
                    pairs = [tensor.cpu() for tensor in pairs]
                memory.observe(*pairs)
        self.notes["support_tokens"] += int(real.sum())

    def _shuffled(self, real: Tensor) -> Tensor:
        """``[position]``: which position's value each key gets, a permutation of those that make pairs."""
        places = real.nonzero().squeeze(1)
        drawn = torch.randperm(len(places), generator=self.shape.generator()).to(places.device)
        order = torch.arange(len(real), device=real.device)
        order[places] = places[drawn]
        return order

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
        changes = [self._added(number) for number in range(len(self.outs))]
        if len(changes) < len(self.places):
            changes.append(self._output)
        with input_hooks(list(zip(self.places, changes, strict=True))):
            yield

    def _added(self, number: int) -> Any:
        def change(states: Tensor) -> Tensor:
            with without_autocast(states):
                added: Tensor = (self._recalled(number, states) @ self.outs[number].mT).to(states.dtype)
            return states + added

        return change

    def _output(self, states: Tensor) -> Tensor:
        share = self.config.output_mix
        with without_autocast(states):
            mixed: Tensor = (1 - share) * states.float() + share * self._recalled(len(self.memories) - 1, states)
        return mixed.to(states.dtype)

    def _recalled(self, number: int, states: Tensor) -> Tensor:
        """Values ``[text, position, dim]`` that a memory recalls for hidden states of that shape, in float32."""
        keys = memory_keys(states, self._keys)
        return self.memories[number].read(keys.reshape(1, -1, keys.shape[-1])).view(*states.shape[:-1], -1)

    def predict(self, query: Query) -> Answers:
        """Answers of the model with its memories, or of the unchanged model where nothing was observed.

        Args:
            query: A batch of one episode.

        Returns:
            Scores or texts, see ``Method.predict``.
        """
        with self.hooks_active() if self.notes["support_tokens"] else nullcontext():
            return self.backbone.answer(query, self.shape.kind, self.shape.protocol)


def _fixed(tensors: Sequence[Tensor]) -> nn.ParameterList:
    return nn.ParameterList([nn.Parameter(tensor, requires_grad=False) for tensor in tensors])


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
