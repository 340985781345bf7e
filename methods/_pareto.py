"""Pareto selection among candidates that are scored on the same items, with the rules of GEPA (arXiv 2507.19457)."""

from collections.abc import Sequence

Scores = Sequence[Sequence[float]]
"""``[candidate][item]``."""


def fronts(scores: Scores) -> list[list[int]]:
    """Of each item the candidates that are best on it.

    Args:
        scores: ``[candidate][item]``, of one candidate or more.

    Returns:
        ``[item]`` lists of candidates, in order.
    """
    found = []
    for item in range(len(scores[0])):
        best = max(own[item] for own in scores)
        found.append([candidate for candidate, own in enumerate(scores) if own[item] == best])
    return found


def undominated_fronts(scores: Scores) -> list[list[int]]:
    """The fronts without dominated candidates.

    A candidate is dominated where on each item that it is best on another one, that is still there, is as good. Of
    those the one with the lowest total goes first, among equal totals the one that was met first; then all are looked
    at again.

    Args:
        scores: ``[candidate][item]``, of one candidate or more.

    Returns:
        ``[item]`` lists of candidates.
    """
    left = fronts(scores)
    met = list(dict.fromkeys(candidate for front in left for candidate in front))
    order = sorted(met, key=lambda candidate: sum(scores[candidate]))
    while (
        gone := next((each for each in order if all(len(front) > 1 for front in left if each in front)), None)
    ) is not None:
        order.remove(gone)
        left = [[candidate for candidate in front if candidate != gone] for front in left]
    return left


def parent_weights(scores: Scores) -> dict[int, int]:
    """How often each undominated candidate is among the best of an item; parents are drawn in proportion to it.

    Args:
        scores: ``[candidate][item]``, of one candidate or more.

    Returns:
        Numbers of items by candidate.
    """
    weights: dict[int, int] = {}
    for front in undominated_fronts(scores):
        for candidate in front:
            weights[candidate] = weights.get(candidate, 0) + 1
    return weights
