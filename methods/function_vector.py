"""Function vectors: outputs of the attention heads that carry a task, added to the state at the end of a prompt."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from pydantic import Field
from torch import Tensor

from bench.contracts import Backbone, ProblemShape
from bench.toolkit.hooks import input_hooks, output_layer
from methods._block_parts import attention_outputs
from methods._end_vectors import EndVectorConfig, EndVectorMethod
from methods._prompt_ends import (
    ROWS_AT_ONCE,
    answer_start,
    repeated,
    token_ids,
    weights_device,
)


class FunctionVectorConfig(EndVectorConfig):
    """Hyper-parameters of function vectors; numbers of prompts, trials, demonstrations and heads are published."""

    demonstrations: int | None = Field(default=10, ge=1, description="Demonstrations in a prompt, at most.")
    prompts: int = Field(
        default=100, ge=1, le=10_000, description="Prompts over which outputs of heads are averaged, at most."
    )
    trials: int = Field(
        default=25, ge=1, le=10_000, description="Prompts with shuffled answers by which heads are compared, at most."
    )
    heads: int = Field(
        default=10, ge=1, le=10_000, description="Heads whose outputs are summed, at most a quarter of all."
    )


class FunctionVector(EndVectorMethod):
    """The mean outputs of the heads with the largest indirect effect, summed, added after a block.

    A head's mean output is taken at the last token of prompts, each of demonstrations and a query, all of them support
    items; an item is the query of one prompt at most, and as published only where the model then finds its answer (the
    first token), unless it does so for less than two. A head's indirect effect is how much the probability of the right
    answer rises, in prompts of the same queries after demonstrations with shuffled answers, when the head's output at
    the last token is that mean.

    The block is a third of the way, as published, unless another one has a better accuracy on support items by more
    than a standard error, each answered by the vector of the other items' prompts, with the same heads. The authors'
    code tries all blocks too, on the test set.
    """

    Config = FunctionVectorConfig
    config: FunctionVectorConfig
    source = "Todd et al. 2023, Function Vectors in Large Language Models, arXiv 2310.15213"

    def __init__(self, config: FunctionVectorConfig, backbone: Backbone, shape: ProblemShape) -> None:
        super().__init__(config, backbone, shape)
        self._projections = tuple(attention_outputs(self.backbone, "function_vector"))
        network: Any = self.backbone.causal_lm
        self._n_heads = int(network.config.num_attention_heads)

    def change(self, states: Tensor, vector: Tensor) -> Tensor:
        """The states plus the vector."""
        return states + self.config.strength * vector

    def found(self, order: Sequence[int]) -> tuple[int, Tensor]:
        """The block, and the sum over the heads that matter most."""
        generator, queries = self.shape.generator(), list(order[: self.config.prompts])
        read = [self.outputs(*self._drawn(order, query, generator)) for query in queries]
        right = [place for place, (_, is_right) in enumerate(read) if is_right]
        if len(right) < 2:
            right = list(range(len(queries)))
        outputs = {queries[place]: read[place][0] for place in right}
        means = torch.stack(list(outputs.values())).mean(dim=0)
        effects = torch.stack([
            self.effects(*self._drawn(order, query, generator, shuffled=True), means)
            for query in list(outputs)[: self.config.trials]
        ]).mean(dim=0)  # fmt: skip
        best = effects.flatten().topk(min(self.config.heads, max(1, effects.numel() // 4))).indices.tolist()
        heads = [divmod(place, self._n_heads) for place in best]
        self.notes |= {"prompts": len(outputs), "heads": " ".join(f"{block}.{head}" for block, head in sorted(heads))}
        count = len(self.backbone.blocks)

        def of_others(others: Sequence[int]) -> Tensor | None:
            kept = [outputs[item] for item in others if item in outputs]
            return self.summed(torch.stack(kept).mean(dim=0), heads).expand(count, -1) if kept else None

        return self.best_layer(order, count // 3, of_others), self.summed(means, heads)

    def _drawn(
        self, order: Sequence[int], query: int, generator: torch.Generator, shuffled: bool = False
    ) -> tuple[str, str, str]:
        """The instruction and demonstrations in random order before a support item, its prompt and its answer."""
        given = self._given
        others = [order[place] for place in torch.randperm(len(order), generator=generator).tolist()]
        others.remove(query)
        others = others[: self.config.demonstrations]
        prompt, answer = given.prompts[query], given.names[given.labels[query]]
        context, kept = given.context(others, [prompt + answer], 0)
        if shuffled:
            others = others[len(others) - kept :]
            places = torch.randperm(kept, generator=generator).tolist()
            labels = [given.labels[others[place]] for place in places]
            wrong = [given.prompts[item] + given.names[label] for item, label in zip(others, labels, strict=True)]
            context = "".join(text + self.shape.separator for text in wrong)
        return self.shape.protocol.instructed(context), prompt, answer

    def _ids(self, context: str, prompt: str, answer: str) -> tuple[Tensor, int]:
        """Tokens up to the answer ``[position]``, and the answer's first token."""
        stem, whole = token_ids(self.backbone, [context + prompt, context + prompt + answer])
        first = answer_start(prompt, stem, [whole])
        return whole[:first].to(weights_device(self.backbone)), int(whole[first])

    def outputs(self, context: str, prompt: str, answer: str) -> tuple[Tensor, bool]:
        """What the heads give at the last token of a prompt.

        Args:
            context: Demonstrations.
            prompt: The query's prompt.
            answer: Its answer.

        Returns:
            Inputs of the output projections ``[block, head, dim]``, and whether the answer's first token is the
            likeliest of all tokens.
        """
        ids, answered = self._ids(context, prompt, answer)
        seen: list[Tensor] = []
        with input_hooks([(module, seen.append) for module in self._projections]):
            states = self.backbone.decoder(input_ids=ids[None], use_cache=False).last_hidden_state
        likeliest = int(output_layer(self.backbone)(states[0, -1]).argmax())
        found = torch.stack([each[0, -1].float() for each in seen])
        return found.view(len(found), self._n_heads, -1), likeliest == answered

    def effects(self, context: str, prompt: str, answer: str, means: Tensor) -> Tensor:
        """Indirect effects of all heads in one prompt.

        All tokens but the last are run once: what is changed at the last token changes nothing before it.

        Args:
            context: Demonstrations with shuffled answers.
            prompt: The query's prompt.
            answer: Its answer.
            means: ``[block, head, dim]``.

        Returns:
            ``[block, head]``, rises of the probability of the answer's first token.
        """
        ids, answered = self._ids(context, prompt, answer)
        decoder, cache = self.backbone.decoder, None
        if len(ids) > 1:
            cache = decoder(input_ids=ids[None, :-1], use_cache=True).past_key_values
        # The first row is the prompt as it is.
        places = [None, *((block, head) for block in range(means.shape[0]) for head in range(means.shape[1]))]
        found = []
        for start in range(0, len(places), ROWS_AT_ONCE):
            part = places[start : start + ROWS_AT_ONCE]

            hooks = [
                (module, self._patching([place if place and place[0] == number else None for place in part], means))
                for number, module in enumerate(self._projections)
            ]
            run = {"past_key_values": repeated(cache, len(part)), "use_cache": True} if cache else {"use_cache": False}
            with input_hooks(hooks):
                states = decoder(input_ids=ids[-1].expand(len(part), 1), **run).last_hidden_state
            found.append(output_layer(self.backbone)(states[:, -1]).float().softmax(dim=-1)[:, answered])
        rises = torch.cat(found)
        return (rises[1:] - rises[0]).view(means.shape[:2])

    def _patching(self, places: Sequence[tuple[int, int] | None], means: Tensor) -> Callable[[Tensor], Tensor]:
        """What puts the mean of a head in place of its output at the last position of each row."""

        def change(states: Tensor) -> Tensor:
            made = states.clone()
            heads = made[:, -1].view(len(places), self._n_heads, -1)
            for row, place in enumerate(places):
                if place is not None:
                    heads[row, place[1]] = means[place].to(made)
            return made

        return change

    def summed(self, means: Tensor, heads: Sequence[tuple[int, int]]) -> Tensor:
        """``[width]``, outputs of heads through their output projections, without their biases."""
        total = torch.zeros(self.backbone.width, device=means.device)
        for block, module in enumerate(self._projections):
            chosen = torch.zeros_like(means[block])
            for of_block, head in heads:
                if of_block == block:
                    chosen[head] = means[block, head]
            weight = next(module.parameters())
            given = torch.stack([chosen.flatten(), torch.zeros_like(chosen.flatten())]).to(weight.dtype)
            out = module(given).float()
            total += out[0] - out[1]
        return total


PLUGIN = FunctionVector
