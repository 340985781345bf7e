"""From the answers of a run to its score: each kind of task has one metric."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sacrebleu.metrics.bleu import BLEU

from bench.adaptation import Outcome
from bench.batching import EpisodeGroup
from bench.contracts import Kind, NumericalError
from bench.metrics import Score, accuracy, perplexity, summarise

BLEU_RESAMPLES = 1000


@dataclass(frozen=True)
class Judged:
    """The score of a run, and what else its record tells of it.

    episode_scores: in the metric's unit. notes: the metric's signature, or other forms of the same figure.
    """

    metric: str
    score: Score
    episode_scores: list[float]
    n_queries: int
    notes: dict[str, Any] = field(default_factory=dict)


def judge(kind: Kind, outcomes: Sequence[Outcome], groups: Sequence[EpisodeGroup]) -> Judged:
    """Score the outcomes of groups of episodes. Raises NumericalError if an answer is not finite."""
    if kind is Kind.LANGUAGE_MODELLING:
        return _judge_texts(outcomes, groups)
    if kind is Kind.TRANSLATION:
        return _judge_translations(outcomes, groups)
    scores = [
        float(score)
        for group, outcome in zip(groups, outcomes, strict=True)
        for score in accuracy(outcome.scores, group.labels)
    ]
    n_queries = sum(outcome.n_queries for outcome in outcomes)
    return Judged("accuracy", summarise(scores, n_queries), scores, n_queries)


def _judge_texts(outcomes: Sequence[Outcome], groups: Sequence[EpisodeGroup]) -> Judged:
    """Perplexity per token; per word, of words as white space parts them, in the notes."""
    each = [outcome.scores[0].double().numpy() for outcome in outcomes]
    items = np.concatenate(each)
    if not np.isfinite(items).all():
        raise NumericalError("negative log-likelihoods must be finite, got NaN or infinity; try --precision 32-true")
    words = sum(len(text.split()) for group in groups for text in group.query_texts())
    by_episode = [perplexity(part).value for part in each]
    total = items.sum(axis=0)
    notes = {"scored_tokens": int(total[1]), "words": words, "word_perplexity": float(np.exp(total[0] / words))}
    return Judged("perplexity", perplexity(items), by_episode, len(items), notes)


def _judge_translations(outcomes: Sequence[Outcome], groups: Sequence[EpisodeGroup]) -> Judged:
    """BLEU of sacrebleu, with its bootstrap interval over sentences and its signature."""
    bleu = BLEU()
    written = [outcome.texts for outcome in outcomes]
    references = [group.query_targets() for group in groups]
    by_episode = [
        float(bleu.corpus_score(texts, [targets]).score) for texts, targets in zip(written, references, strict=True)
    ]
    texts = [text for part in written for text in part]
    scored = bleu.corpus_score(texts, [[target for part in references for target in part]], n_bootstrap=BLEU_RESAMPLES)
    # sacrebleu hands the interval out in its readable form alone.
    found = re.search(r"± ([\d.]+)", scored.format())
    half_width = float(found.group(1)) if found else 0.0
    signature = str(bleu.get_signature())
    return Judged("bleu", Score(float(scored.score), half_width), by_episode, len(texts), {"signature": signature})
