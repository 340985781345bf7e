"""Language tasks by hand: support sets and queries of texts, turns of chats, and what a decoder makes of a text."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from bench.backbones.hf import CausalLM
from bench.contracts import AnswerProtocol, Classes, Inputs, Kind, ProblemShape, Query, Support
from bench.toolkit.chat import user_turn

TEXTS = ["Word: happy\nSentiment: positive\n", "Word: awful\nSentiment: negative\n", "very good, very bad: indeed"]
PROMPTS = ["Word: happy\nSentiment:", "Word: a longer one\nSentiment:"]
NAMES = (" positive", " negative")
WORDS = ["happy", "awful", "very good", "very bad", "indeed", "so good"]
TURNS = [user_turn(f"Word: {word}\nSentiment:") for word in WORDS]
"""Prompts about the words, as turns of a chat."""
SAID = ("positive", "negative")


def inputs(texts: Sequence[str]) -> Inputs:
    return Inputs(np.arange(len(texts))[None], lambda wanted: [texts[position] for position in wanted])


def problem_shape(
    kind: Kind = Kind.LANGUAGE_MODELLING, n_way: int = 1, seed: int = 0, max_new_tokens: int = 8
) -> ProblemShape:
    protocol = AnswerProtocol(window=32, max_new_tokens=max_new_tokens)
    return ProblemShape(1, n_way, 3, 0, 0, 0.0, "\n", seed, kind, protocol)


def support(
    texts: Sequence[str],
    completions: Sequence[str] | None = None,
    labels: Sequence[int] | None = None,
    names: tuple[str, ...] = ("text",),
) -> Support:
    """completions: what follows each text, in text generation; labels: its class, in classification."""
    shape = (1, len(texts))
    none = torch.zeros(*shape, 0)
    targets = None if completions is None else lambda wanted: [completions[position] for position in wanted]
    classes = Classes(torch.zeros(1, len(names), 0), (names,))
    mask = torch.ones(shape, dtype=torch.bool)
    given = torch.zeros(shape, dtype=torch.long) if labels is None else torch.tensor([list(labels)])
    return Support(none, none, mask, classes, inputs(texts), given, targets)


def query(texts: Sequence[str], names: tuple[str, ...] = ("text",)) -> Query:
    none = torch.zeros(1, len(texts), 0)
    mask = torch.ones(1, len(texts), dtype=torch.bool)
    return Query(none, none, mask, Classes(torch.zeros(1, len(names), 0), (names,)), inputs(texts))


@dataclass(frozen=True)
class Read:
    """One text in a decoder. ids: ``[position]``; inputs: what a module was given, ``[position, dim]``."""

    ids: Tensor
    inputs: Tensor
    logits: Tensor


@torch.no_grad()
def read(backbone: CausalLM, text: str, module: nn.Module) -> Read:
    """Run a text alone, and look at the first input of a module on the way."""
    ids = torch.tensor([backbone.tokenizer(text)["input_ids"]])
    seen: list[Tensor] = []
    handle = module.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    logits = backbone.model(input_ids=ids).logits[0]
    handle.remove()
    return Read(ids[0], seen[0][0], logits)


def pairs(backbone: CausalLM, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Hidden states before the final norm, and the input embeddings of the tokens that follow, in float64."""
    found = [read(backbone, text, backbone.final_norm) for text in texts]
    keys = torch.cat([each.inputs[:-1] for each in found])
    values = backbone.embed(torch.cat([each.ids[1:] for each in found]))
    return keys.double(), values.double()


def harness_windows(tokens: list[int], prefix: int, size: int) -> list[tuple[list[int], list[int]]]:
    """Context and scored tokens of each window, as lm-evaluation-harness documents its rolling windows of context 1."""
    done = min(size, len(tokens))
    found = [([prefix, *tokens[: done - 1]], tokens[:done])]
    while done < len(tokens):
        scored = min(len(tokens) - done, size)
        end = done + scored
        found.append((tokens[end - size - 1 : end - 1], tokens[end - scored : end]))
        done = end
    return found


@torch.no_grad()
def harness_loss(backbone: CausalLM, text: str, size: int) -> tuple[float, int]:
    """Negative log-likelihood of a text and its scored tokens, by plain passes over those windows."""
    tokens = backbone.tokenizer(text, add_special_tokens=False)["input_ids"]
    prefix = backbone.tokenizer.bos_token_id
    prefix = backbone.tokenizer.eos_token_id if prefix is None else prefix
    total, count = 0.0, 0
    for context, scored in harness_windows(tokens, prefix, size):
        logits = backbone.model(input_ids=torch.tensor([context])).logits[0].double().log_softmax(dim=-1)
        total -= float(logits[-len(scored) :].gather(1, torch.tensor(scored)[:, None]).sum())
        count += len(scored)
    return total, count


def user(content: str) -> dict[str, str]:
    return {"role": "user", "content": content}


def assistant(content: str) -> dict[str, str]:
    return {"role": "assistant", "content": content}


def templated(backbone: CausalLM, messages: list[dict[str, str]], answer: str | None = None) -> list[int]:
    """Tokens as transformers makes them: of whole turns, or of turns that the answer begins to follow."""
    begun = answer is not None
    made = backbone.tokenizer.apply_chat_template(messages, add_generation_prompt=begun, return_dict=True)
    ids: list[int] = made["input_ids"]
    return ids + backbone.tokenizer(answer or "", add_special_tokens=False)["input_ids"]
