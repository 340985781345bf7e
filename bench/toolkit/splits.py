"""Seeded splits of a pool of labelled items."""

import numpy as np


def stratified_halves(labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions of two disjoint halves of every class, each sorted; the first half has the odd item.

    labels: ``[item]`` integers. The halves depend on ``labels`` and ``seed`` alone.
    """
    generator = np.random.default_rng(seed)
    first, second = [], []
    for label in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == label))
        middle = (len(members) + 1) // 2
        first.append(members[:middle])
        second.append(members[middle:])
    return np.sort(np.concatenate(first)), np.sort(np.concatenate(second))
