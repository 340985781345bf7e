"""What methods share that put a vector in place of demonstrations: one vector, at the end of a query's prompt."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice, product
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

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
from bench.toolkit.hooks import input_hooks, output_layer
from methods._demonstrations import Demonstrations
from methods._folds import fold_count
from methods._prompt_ends import (
    ROWS_AT_ONCE,
    after_blocks,
    answer_start,
    answers_with,
    changed_at,
    repeated,
    token_ids,
    weights_device,
)
from methods._prompt_folds import MOST, best_setting, left_out


class EndVectorConfig(MethodConfig):
    """Hyper-parameters of all such methods."""

    strength: Annotated[float, Tune(0.0, 2.0)] = Field(
        default=1.0, ge=0, le=10, description="Factor of the vector; 0 leaves the model as it is."
    )
    demonstrations: int | None = Field(
        default=None, ge=1, description="Demonstrations in a prompt that the vector is taken from, at most."
    )
    layer: Annotated[int, Field(ge=0, le=1000)] | Literal["auto"] = Field(
        default="auto",
        description="Block after which the vector is put, from 0. auto: by accuracy on support items left out.",
    )


class EndVectorMethod(ForwardMethod):
    """Changes the state after one block at the last token of a query's prompt, by a vector from demonstrations.

    Queries are answered without demonstrations: the state is one vector. Where nothing was observed, the model answers
    as it is.

    Attributes:
        vector: ``[width]``.
        layer: Number of the block after which it is put.
    """

    Config: ClassVar[type[EndVectorConfig]] = EndVectorConfig
    config: EndVectorConfig
    kinds = frozenset({Kind.TEXT_CLASSIFICATION})
    needs_language_model = kinds
    needs_network = True
    reads = InputMode.INPUTS
    episodes_at_once = 1

    def __init__(self, config: EndVectorConfig, backbone: Backbone, shape: ProblemShape) -> None:
        super().__init__(config, backbone, shape)
        self._given = Demonstrations(backbone, shape, type(self).__module__.rpartition(".")[2])
        count = len(self.backbone.blocks)
        if config.layer != "auto" and config.layer >= count:
            raise UsageError(f"layer must be one of the {count} blocks, 0 to {count - 1}, got {config.layer}; lower it")
        self.layer: int | None = None
        self.register_buffer("vector", torch.zeros(0))

    backbone: LanguageBackbone
    vector: Tensor

    def observe(self, support: Support) -> None:
        """Keep the batch's prompts and labels until all are there."""
        self._given.add(support)

    def solve(self) -> None:
        """Take the vector from the demonstrations; see ``found``."""
        if self._given.texts:
            self._given.count_tokens()
            order = self._given.arranged(range(len(self._given.texts)), self.shape.generator())
            self.layer, self.vector = self.found(order)
            self.notes["layer"] = self.layer

    @abstractmethod
    def found(self, order: Sequence[int]) -> tuple[int, Tensor]:
        """The block and the vector.

        Args:
            order: The support items in a random order, in rounds of one of each class.

        Returns:
            Number of the block, and ``[width]``.
        """

    @abstractmethod
    def change(self, states: Tensor, vector: Tensor) -> Tensor:
        """States with the vector.

        Args:
            states: ``[row, width]``, at the end of prompts.
            vector: ``[width]``.

        Returns:
            ``[row, width]``.
        """

    def best_layer(self, order: Sequence[int], default: int, made: Callable[[Sequence[int]], Tensor | None]) -> int:
        """The block of the config, or the one with the best accuracy on support items.

        Items are answered by vectors of the others, in as many parts as there are shots, at most five; with one shot
        the default stays, and else unless another block is better by more than a standard error.

        Args:
            order: The support items in a random order, in rounds of one of each class.
            default: Number of the default block.
            made: From items to ``[block, width]``, their vectors to put after each block; None where there are none.

        Returns:
            Its number.
        """
        if self.config.layer != "auto":
            return self.config.layer
        given, count = self._given, len(self.backbone.blocks)
        scores, labels = [], []
        n_parts = fold_count(self.shape)
        for held, others in left_out(order, MOST, n_parts) if n_parts else ():
            vectors = made(others)
            if vectors is not None:
                labels += [given.labels[item] for item in held]
                scores.append(self._scored_by_layer([given.prompts[item] for item in held], vectors))
        if not labels:
            return default
        layers = [default, *(each for each in range(count) if each != default)]
        return layers[best_setting(torch.cat(scores, dim=1)[layers], labels)]

    def _scored_by_layer(self, prompts: Sequence[str], vectors: Tensor) -> Tensor:
        """``[block, prompt, way]``, log-likelihoods of the answers with ``vectors [block, width]`` after each block."""
        return answers_by_module(
            self.backbone,
            [self.shape.protocol.instructed(prompt) for prompt in prompts],
            self._given.names,
            after_blocks(self.backbone),
            lambda layer, states: self.change(states, vectors[layer]),
        )

    def before(self, order: Sequence[int], prompts: Sequence[str]) -> str:
        """The instruction, and the last demonstrations of an order that fit before prompts, as a text."""
        wanted = self.config.demonstrations or len(order)
        shown = self._given.context(order[max(0, len(order) - wanted) :], prompts, 0)[0]
        return self.shape.protocol.instructed(shown)

    def scored(self, prompts: Sequence[str], names: Sequence[str], layer: int, vector: Tensor) -> Tensor:
        """``[prompt, way]``, log-likelihoods of the answers with a vector after a block."""
        module = after_blocks(self.backbone)[layer]
        return answers_with(
            self.backbone,
            [self.shape.protocol.instructed(prompt) for prompt in prompts],
            names,
            lambda last: changed_at(last, module, lambda states: self.change(states, vector)),
        )

    def predict(self, query: Query) -> Answers:
        """What the model answers with the vector; see Method.predict for the shapes."""
        if self.layer is None:
            return self.backbone.answer(query, self.shape.kind, self.shape.protocol)
        names, prompts = query.classes.names[0], query.inputs.episode(0)
        scores = query.prior.new_zeros(*query.mask.shape, len(names))
        if prompts:
            scores[query.mask] = self.scored(prompts, names, self.layer, self.vector).to(scores)
        return scores


def answers_by_module(
    backbone: LanguageBackbone,
    prompts: Sequence[str],
    names: Sequence[str],
    modules: Sequence[nn.Module],
    change: Callable[[int, Tensor], Tensor],
) -> Tensor:
    """Log-likelihoods of answers with one module's input changed at the last token of a prompt, each module in turn.

    All other tokens of a prompt are run once: what is changed at the last one changes nothing before it.

    Args:
        backbone: The model.
        prompts: The prompts.
        names: The answers.
        modules: Modules of the decoder.
        change: From the number of a module and first inputs of it ``[row, dim]``, in float32, to changed ones.

    Returns:
        ``[module, prompt, answer]`` on the CPU.

    Raises:
        DataError: If prompt and answer do not fit, or an answer has no token of its own.
    """
    found = iter(token_ids(backbone, [prompt + ending for prompt in prompts for ending in ("", *names)]))
    device, head = weights_device(backbone), output_layer(backbone)
    scores = torch.empty(len(modules), len(prompts), len(names), device=device)
    for number, prompt in enumerate(prompts):
        stem, *joined = islice(found, 1 + len(names))
        last, cache = answer_start(prompt, stem, joined) - 1, None
        if last:
            cache = backbone.decoder(input_ids=stem[None, :last].to(device), use_cache=True).past_key_values
        # From the last token of the prompt on; answers of one token share a row.
        tails = [tuple(whole[last:-1].tolist()) for whole in joined]
        rows = list(product(range(len(modules)), dict.fromkeys(tails)))
        for start in range(0, len(rows), ROWS_AT_ONCE):
            part = rows[start : start + ROWS_AT_ONCE]
            ids = pad_sequence([torch.tensor(tail, device=device) for _, tail in part], batch_first=True)
            lengths = torch.tensor([last + len(tail) for _, tail in part], device=device)
            run = {
                "input_ids": ids,
                "attention_mask": (torch.arange(last + ids.shape[1], device=device) < lengths[:, None]).long(),
                "past_key_values": None if cache is None else repeated(cache, len(part)),
                "use_cache": cache is not None,
            }
            own = {module: [row for row, (each, _) in enumerate(part) if each == module] for module, _ in part}
            with input_hooks([
                (modules[module], partial(_changed, places, partial(change, module))) for module, places in own.items()
            ]):  # fmt: skip
                states = backbone.decoder(**run).last_hidden_state
            for row, (module, tail) in enumerate(part):
                read = head(states[row, : len(tail)]).float().log_softmax(dim=-1)
                for answer, whole in enumerate(joined):
                    if tails[answer] == tail:
                        targets = whole[last + 1 :, None].to(device)
                        scores[module, number, answer] = read.gather(1, targets).sum()
    return scores.cpu()


def _changed(rows: list[int], change: Callable[[Tensor], Tensor], states: Tensor) -> Tensor:
    """States ``[row, position, dim]`` with those at the first position of some rows changed."""
    made = states.clone()
    made[rows, 0] = change(states[rows, 0].float()).to(states.dtype)
    return made
