"""Choice of a setting on support items, by predictions that the items themselves had no part in."""

from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor

SHARPNESS = tuple(10 ** (halves / 2) for halves in range(-6, 4))
"""Factors of scores, from a thousandth to some thirty."""
ENTRIES_AT_ONCE = 2**18
"""Scores that are sharpened at a time (2 MiB in float64)."""
Criterion = Literal["likelihood", "accuracy"]


def log_likelihoods(scores: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
    """Log-likelihood of each item, with scores as sharp as makes an episode's items likeliest together.

    A backbone's scale makes answers surer than few examples warrant, and which answer is right does not depend on
    it: at that scale the likeliest settings are those that say least.

    Args:
        scores: ``[episode, item, way]``.
        labels: ``[episode, item]``.
        mask: ``[episode, item]``; False counts 0.

    Returns:
        ``[episode, item]`` in float64.
    """
    # Some items at a time, whose scores stay in a cache for all factors.
    step = max(1, ENTRIES_AT_ONCE // max(1, scores.shape[0] * scores.shape[2]))
    parts = zip(torch.split(scores, step, dim=1), torch.split(labels, step, dim=1), strict=True)
    sharpened = torch.cat([_sharpened(*part) for part in parts], dim=2)
    best: Tensor | None = None
    for each in sharpened.masked_fill(~mask, 0):
        if best is None:
            best = each
        better = each.sum(dim=1, keepdim=True) > best.sum(dim=1, keepdim=True)
        best = torch.where(better, each, best)
    assert best is not None
    return best


def _sharpened(scores: Tensor, labels: Tensor) -> Tensor:
    """``[factor, episode, item]``, log-likelihoods of the labels with scores times each factor."""
    scores = scores.double()
    right = scores.gather(-1, labels.unsqueeze(-1)).squeeze(-1)
    # One after the other: all of them together would be ten times the memory.
    return torch.stack([sharp * right - (sharp * scores).logsumexp(dim=-1) for sharp in SHARPNESS])


def chosen(candidates: Iterable[Tensor], labels: Tensor, mask: Tensor, by: Criterion) -> Tensor:
    """The best candidate of each episode, or the first one unless the best is clearly better.

    The first candidate is the default. It stays where the mean of the best exceeds its mean by no more than the
    standard error of their difference over the items (the one-standard-error rule, Breiman et al. 1984): few items say
    little, and a choice by them can do harm.

    Args:
        candidates: Scores ``[episode, item, way]`` of each candidate, the default's first.
        labels: ``[episode, item]``.
        mask: ``[episode, item]``; where an episode has no item, the default stays.
        by: Accuracy, of equals the likelier; or the likelihood.

    Returns:
        ``[episode]`` positions in ``candidates``.
    """
    values, order = [], []
    for scores in candidates:
        likelihood = log_likelihoods(scores, labels, mask)
        right = ((scores.argmax(dim=-1) == labels) & mask).double()
        values.append(likelihood if by == "likelihood" else right)
        # Rounded, so that of settings that are equal but for rounding of scores the first is taken on every machine.
        mean = (likelihood.sum(dim=1) / mask.sum(dim=1).clamp(min=1)).round(decimals=4)
        # A mean log-likelihood, squeezed between 0 and 1, decides between equally many right answers.
        order.append(mean if by == "likelihood" else right.sum(dim=1) + mean.exp() / 2)
    best = torch.stack(order).argmax(dim=0)
    each = torch.stack(values)
    gain = (each.gather(0, best.view(1, -1, 1).expand(1, *each.shape[1:]))[0] - each[0]).masked_fill(~mask, 0)
    count = mask.sum(dim=1)
    mean = gain.sum(dim=1) / count.clamp(min=1)
    spread = (gain - mean.unsqueeze(1)).masked_fill(~mask, 0).square().sum(dim=1) / (count - 1).clamp(min=1)
    # One more right answer is exactly one standard error: rounding is not to decide.
    return best.where(mean > (1 + 1e-6) * (spread / count.clamp(min=1)).sqrt(), 0)
