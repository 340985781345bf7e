"""Log-probabilities of answers after prompts, with gradients."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from bench.contracts import DataError, LanguageBackbone
from bench.toolkit.hooks import output_layer
from methods._prompt_ends import shared_length, token_ids, weights_device


def answer_scores(backbone: LanguageBackbone, prompts: Sequence[str], answers: Sequence[str]) -> Tensor:
    """Summed log-probabilities of the tokens of each answer, as ``LanguageBackbone.loglikelihood`` has them.

    Answers of one token share a row. Gradients flow to whatever is trained in the model.

    Args:
        backbone: The model.
        prompts: The prompts, with everything that stands before them.
        answers: The answers.

    Returns:
        ``[prompt, answer]`` in nats, on the device of the weights.

    Raises:
        DataError: If a text does not fit the model, or an answer has no token of its own.
    """
    texts = token_ids(backbone, [*prompts, *(prompt + answer for prompt in prompts for answer in answers)])
    stems, joined = texts[: len(prompts)], texts[len(prompts) :]
    rows: dict[tuple[int, ...], int] = {}
    reads: list[tuple[int, int, Tensor]] = []
    for number, stem in enumerate(stems):
        own = joined[number * len(answers) : (number + 1) * len(answers)]
        start = shared_length([stem, *own])
        if start == 0 or start >= min(map(len, own)):
            raise DataError(
                f"an answer needs a token or more after its prompt, got {answers!r} after {prompts[number]!r}"
            )
        for ids in own:
            row = rows.setdefault((number, *ids[:-1].tolist()), len(rows))
            reads.append((row, start - 1, ids[start:]))
    device = weights_device(backbone)
    ids = pad_sequence([torch.tensor(row[1:]) for row in rows], batch_first=True)
    lengths = torch.tensor([len(row) - 1 for row in rows])
    mask = (torch.arange(ids.shape[1]) < lengths[:, None]).long()
    run = {"input_ids": ids.to(device), "attention_mask": mask.to(device), "use_cache": False}
    hidden = backbone.decoder(**run).last_hidden_state
    targets = torch.cat([target for _, _, target in reads]).to(device)
    places = torch.cat([first + torch.arange(len(target)) for _, first, target in reads]).to(device)
    sizes = torch.tensor([len(target) for _, _, target in reads])
    of_row = torch.tensor([row for row, _, _ in reads]).repeat_interleave(sizes).to(device)
    logits: Tensor = output_layer(backbone)(hidden[of_row, places]).float()
    each = logits.log_softmax(dim=-1).gather(-1, targets.unsqueeze(-1)).squeeze(-1)
    summed = each.new_zeros(len(reads)).index_add(0, torch.arange(len(reads)).repeat_interleave(sizes).to(device), each)
    return summed.view(len(prompts), len(answers))
