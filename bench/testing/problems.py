"""Small problems for tests of methods: synthetic support and query sets."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from bench.contracts import AnswerProtocol, Classes, Inputs, Items, Kind, ProblemShape, Query, Support
from bench.testing.items import SomeItems, episodes, masked

WORDS = ("happy", "awful", "very good", "very bad", "indeed", "so good", "so bad")
N_TEXTS = 4
"""Texts in the support set of a problem without classes."""


@dataclass(frozen=True)
class Problem:
    """A problem.

    Attributes:
        support: The support set.
        query: The query set.
        shape: Their shape.
    """

    support: Support
    query: Query
    shape: ProblemShape


def problem(
    *,
    n_episodes: int = 3,
    n_way: int = 4,
    n_shot: int = 3,
    n_query: int = 5,
    key_dim: int = 16,
    value_dim: int = 12,
    sizes: Sequence[int] | None = None,
    prior_strength: float = 4.0,
    seed: int = 0,
) -> Problem:
    """Clustered keys with noisy priors, support items in random order; inputs are distinct prompts.

    Args:
        n_episodes: Episodes.
        n_way: Classes.
        n_shot: Support items per class.
        n_query: Query items per class.
        key_dim: Width of a key.
        value_dim: Width of a class embedding.
        sizes: Support items of each episode, the rest being padding; all of them by default.
        prior_strength: N0.
        seed: Seed of the problem.

    Returns:
        The problem.
    """
    rng = torch.Generator().manual_seed(seed)

    def noisy(centres: Tensor, noise: float) -> Tensor:
        return normalize(centres + noise * torch.randn(centres.shape, generator=rng), dim=-1)

    centres = noisy(torch.zeros(n_episodes, n_way, key_dim), 1.0)
    values = noisy(torch.zeros(n_episodes, n_way, value_dim), 1.0)
    names = tuple(tuple(f" label{label}" for label in range(n_way)) for _ in range(n_episodes))
    classes = Classes(class_embeddings=values, names=names)

    def items(per_class: int, first: int) -> tuple[dict[str, Any], Tensor]:
        count = n_way * per_class
        labels = torch.stack([torch.randperm(count, generator=rng) % n_way for _ in range(n_episodes)])
        fields = {
            "keys": noisy(gather(centres, labels), 0.2),
            "prior": noisy(gather(values, labels), 0.3),
            "mask": torch.ones(n_episodes, count, dtype=torch.bool),
            "classes": classes,
            "inputs": Inputs(first + np.arange(n_episodes * count).reshape(n_episodes, count), prompts),
        }
        return fields, labels

    fields, labels = items(n_shot, 0)
    support = Support(labels=labels, **fields)
    if sizes is not None:
        support = masked(support, torch.arange(labels.shape[1]) < torch.tensor(sizes)[:, None])
    query = Query(**items(n_query, 1_000_000)[0])
    shape = ProblemShape(
        n_episodes=n_episodes,
        n_way=n_way,
        n_support=n_way * n_shot,
        key_dim=key_dim,
        value_dim=value_dim,
        prior_strength=prior_strength,
        separator="\n\n",
        seed=seed,
    )
    return Problem(support, query, shape)


def without_embeddings(given: Problem) -> Problem:
    """A problem whose classes have no embeddings, and whose items have no priors.

    Args:
        given: The problem.

    Returns:
        A copy.
    """
    classes = Classes(given.support.classes.class_embeddings[..., :0], given.support.classes.names)
    support = replace(given.support, prior=given.support.prior[..., :0], classes=classes)
    query = replace(given.query, prior=given.query.prior[..., :0], classes=classes)
    return Problem(support, query, replace(given.shape, value_dim=0))


def with_labels(given: Problem) -> Problem:
    """A problem on a backbone without a text encoder: one-hot labels for class embeddings, the same prior for all.

    Args:
        given: The problem.

    Returns:
        A copy.
    """
    n_episodes, n_way = given.query.n_episodes, given.shape.n_way
    classes = Classes(torch.eye(n_way).expand(n_episodes, -1, -1), given.query.classes.names)

    def same(items: Items) -> Tensor:
        return torch.full((*items.mask.shape, n_way), n_way**-0.5)

    support = replace(given.support, prior=same(given.support), classes=classes)
    query = replace(given.query, prior=same(given.query), classes=classes)
    return Problem(support, query, replace(given.shape, value_dim=n_way, prior_strength=0.0))


def prompts(positions: Sequence[int]) -> list[str]:
    """Raw inputs: distinct prompts.

    Args:
        positions: Positions of the items.

    Returns:
        A prompt for each.
    """
    return [f"Word: w{position}\nLabel:" for position in positions]


def gather(values: Tensor, labels: Tensor) -> Tensor:
    """Rows of a tensor by label.

    Args:
        values: ``[episode, way, dim]``.
        labels: ``[episode, item]``.

    Returns:
        ``[episode, item, dim]``.
    """
    return values.gather(1, labels.unsqueeze(-1).expand(-1, -1, values.shape[-1]))


def episodes_of(given: Problem, part: slice) -> Problem:
    """The problem with some of its episodes.

    Args:
        given: The problem.
        part: The episodes.

    Returns:
        A copy.
    """
    query = episodes(given.query, part)
    shape = replace(given.shape, n_episodes=query.n_episodes)
    return Problem(episodes(given.support, part), query, shape)


def repeated(given: Problem, times: int) -> Problem:
    """The first episode of a problem, several times over, each time with items from other places of the pool.

    Args:
        given: The problem.
        times: Number of copies.

    Returns:
        A problem of equal episodes.
    """
    first = episodes_of(given, slice(0, 1))

    def copies(items: SomeItems) -> SomeItems:
        tensors: dict[str, Any] = {
            name: value.expand(times, *value.shape[1:])
            for name, value in vars(items).items()
            if isinstance(value, Tensor)
        }
        embeddings = items.classes.class_embeddings
        classes = Classes(embeddings.expand(times, *embeddings.shape[1:]), items.classes.names * times)
        places = items.inputs.positions + 1000 * np.arange(times)[:, None]
        inputs = replace(items.inputs, positions=np.where(items.inputs.positions < 0, -1, places))
        return replace(items, classes=classes, inputs=inputs, **tensors)

    return Problem(copies(first.support), copies(first.query), replace(first.shape, n_episodes=times))


def language_problem(kind: Kind) -> Problem:
    """A problem without classes.

    Args:
        kind: Language modelling: texts to adapt to and to score. Text generation: prompts, and reference texts of the
            support.

    Returns:
        One episode of 4 support texts and 3 query texts.
    """
    if kind is Kind.TEXT_GENERATION:
        texts = [f"Word: {word}\nTwice:" for word in WORDS]
        targets = [f" {word} {word}" for word in WORDS]
    else:
        texts, targets = [f"Word: {word}\nSentiment: {word}, {word}\n" for word in WORDS], None
    support = Support(
        **_fields(range(N_TEXTS), texts),
        labels=torch.zeros(1, N_TEXTS, dtype=torch.long),
        targets=None if targets is None else lambda positions: [targets[position] for position in positions],
    )
    query = Query(**_fields(range(N_TEXTS, len(WORDS)), texts))
    protocol = AnswerProtocol(window=32, max_new_tokens=4)
    return Problem(support, query, ProblemShape(1, 1, N_TEXTS, 0, 0, 0.0, "\n", 0, kind, protocol))


def _fields(positions: Sequence[int], texts: Sequence[str]) -> dict[str, Any]:
    """Fields of a batch of items without features."""
    none = torch.zeros(1, len(positions), 0)
    return {
        "keys": none,
        "prior": none,
        "mask": torch.ones(1, len(positions), dtype=torch.bool),
        "classes": Classes(torch.zeros(1, 1, 0), (("text",),)),
        "inputs": Inputs(np.array([list(positions)]), lambda wanted: [texts[position] for position in wanted]),
    }
