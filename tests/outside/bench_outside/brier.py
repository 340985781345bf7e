"""Brier score of the softmax: mean squared distance from the right answer, 0 for certainty that is right."""

import numpy as np
from scipy.special import softmax

from bench.contracts import CLASSIFICATION, Metric


class Brier(Metric):
    """From 0 to 2; less is better."""

    title = "Brier score"
    unit = "squared distance"
    decimals = 4
    higher_is_better = False
    kinds = CLASSIFICATION
    fields = {"distance": "float64"}  # noqa: RUF012

    def query_values(self, episode):
        right = np.eye(episode.scores.shape[1])[episode.labels]
        return ((softmax(episode.scores, axis=1) - right) ** 2).sum(axis=1, keepdims=True)

    def parts(self, values):
        return np.column_stack([values, np.ones(len(values))])

    def score(self, sums):
        return sums[..., 0] / sums[..., 1]

    def notes(self, episodes, values):
        return {"worst_query": float(np.concatenate(values).max())}


PLUGIN = Brier
