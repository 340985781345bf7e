"""Seeded splits of a pool of labelled items."""

import numpy as np


def stratified_halves(labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two disjoint halves of a pool, stratified by class; the first half has the odd item of a class.

    Args:
        labels: ``[item]`` integers.
        seed: Seed of the split; the halves depend on it and on ``labels`` alone.

    Returns:
        Sorted positions of the items of both halves.
    """
    generator = np.random.default_rng(seed)
    first, second = [], []
    for label in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == label))
        middle = (len(members) + 1) // 2
        first.append(members[:middle])
        second.append(members[middle:])
    return np.sort(np.concatenate(first)), np.sort(np.concatenate(second))
