"""From the answers of a run to its score: each kind of task has one metric."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from sacrebleu.metrics.bleu import BLEU

from bench.contracts import Kind, NumericalError
from bench.data.batches import EpisodeGroup
from bench.data.episodes import PADDING, Positions
from bench.engine.adapt import GroupResult
from bench.metrics._scores import Score, perplexity, right_answers, summarise
from bench.results.predictions import Floats, QueryPredictions

BLEU_RESAMPLES = 1000


@dataclass(frozen=True)
class Judged:
    """The score of a run, and what else its record tells of it.

    episode_scores: in the metric's unit. outcomes: of each query. notes: the metric's signature, or other forms of the
    same figure.
    """

    metric: str
    score: Score
    episode_scores: list[float]
    outcomes: QueryPredictions
    notes: dict[str, Any] = field(default_factory=dict)


def judge(kind: Kind, outcomes: Sequence[GroupResult], groups: Sequence[EpisodeGroup]) -> Judged:
    """Score the outcomes of groups of episodes. Raises NumericalError if an answer is not finite."""
    if kind is Kind.LANGUAGE_MODELLING:
        return _judge_texts(outcomes, groups)
    if kind is Kind.TRANSLATION:
        return _judge_translations(outcomes, groups)
    right = [
        row[asked].double().numpy()[:, None]
        for outcome, group in zip(outcomes, groups, strict=True)
        for row, asked in zip(right_answers(outcome.scores, group.labels), group.labels >= 0, strict=True)
    ]
    each = QueryPredictions.of("accuracy", _queries(groups), right)
    scores = each.episode_scores()
    return Judged("accuracy", summarise(scores, len(each)), scores, each)


def _queries(groups: Sequence[EpisodeGroup]) -> list[Positions]:
    """The queries of each episode as positions in the task's query pool."""
    return [row[row != PADDING] for group in groups for row in group.episodes.query]


def _judge_texts(outcomes: Sequence[GroupResult], groups: Sequence[EpisodeGroup]) -> Judged:
    """Perplexity per token; per word, of words as white space parts them, in the notes.

    The likelihood is that of scored tokens alone in both, while words are those of the whole text: perplexity per word
    is a little low for texts of a few words, whose first token is not scored. Of several episodes, the mean.
    """
    each = [outcome.scores[0].double().numpy() for outcome in outcomes]
    items = np.concatenate(each)
    if not np.isfinite(items).all():
        raise NumericalError("negative log-likelihoods must be finite, got NaN or infinity; try --precision 32-true")
    words = sum(len(text.split()) for group in groups for text in group.query_texts())
    by_episode = [perplexity(part).value for part in each]
    total = items.sum(axis=0)
    notes: dict[str, Any] = {"scored_tokens": int(total[1]), "words": words}
    if words:
        notes["word_perplexity"] = float(np.exp(total[0] / words))
    # Episodes may share texts, which resampling would take for different ones.
    score = perplexity(items) if len(each) == 1 else summarise(by_episode, len(items))
    return Judged("perplexity", score, by_episode, QueryPredictions.of("perplexity", _queries(groups), each), notes)


def _judge_translations(outcomes: Sequence[GroupResult], groups: Sequence[EpisodeGroup]) -> Judged:
    """BLEU of sacrebleu with its bootstrap interval and its signature; of several episodes, the mean."""
    bleu = BLEU()
    written = [outcome.texts for outcome in outcomes]
    references = [group.query_targets() for group in groups]
    by_episode = [
        float(bleu.corpus_score(texts, [targets]).score) for texts, targets in zip(written, references, strict=True)
    ]
    if len(by_episode) > 1:
        # Episodes may share sentences, which resampling would take for different ones.
        score = summarise(by_episode, sum(map(len, written)))
    else:
        scored = bleu.corpus_score(written[0], references, n_bootstrap=BLEU_RESAMPLES)
        # sacrebleu hands the interval out in its readable form alone.
        found = re.search(r"± ([\d.]+)", scored.format())
        score = Score(by_episode[0], float(found.group(1)) if found else 0.0)
    each = [
        np.stack([_statistics(text, target) for text, target in zip(texts, targets, strict=True)])
        for texts, targets in zip(written, references, strict=True)
    ]
    # Asked for last: it tells of the resampling that was done.
    notes = {"signature": str(bleu.get_signature())}
    return Judged("bleu", score, by_episode, QueryPredictions.of("bleu", _queries(groups), each), notes)


def _statistics(text: str, target: str) -> Floats:
    """What BLEU sums over a corpus, of one sentence: ``[10]``."""
    # An order without an n-gram changes the score alone, and only a sentence's own is warned of.
    own = BLEU(effective_order=True).sentence_score(text, [target])
    return np.array([*own.counts, *own.totals, own.sys_len, own.ref_len], dtype=np.float64)
