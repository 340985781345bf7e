"""Mean and range of a method's score over the templates of a task."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bench.contracts.kinds import Template
from bench.results.grouping import data_of, run_key
from bench.results.record import Record
from bench.results.scores import Score, mean_score, row_score
from bench.toolkit.templates import revision_mark


@dataclass(frozen=True)
class OverTemplates:
    """The rows of one method on one task that differ in the template alone.

    Attributes:
        groups: Records of each template, in order, of the seeds that all of them have; the same number of episodes of
            a seed in all of them.
        templates: The templates.
        score: The mean over templates, with the interval over episodes of their means over templates.
        low: Score with the worst template, or the lowest.
        high: Score with the best template, or the highest.
    """

    groups: tuple[tuple[Record, ...], ...]
    templates: tuple[Template, ...]
    score: Score
    low: float
    high: float

    @property
    def first(self) -> Record:
        """A record of the first template under the name of the task alone."""
        return _without_template(self.groups[0][0])

    @property
    def name(self) -> str:
        """What the row adds to the name of its task."""
        return f"over templates {', '.join(map(repr, self.templates))}"


def over_templates(groups: Sequence[Sequence[Record]]) -> list[OverTemplates]:
    """Rows over templates, of all methods that were run with several of them.

    Args:
        groups: Records by row.

    Returns:
        A row for each run with a score on two templates or more.
    """
    if len({group[0].spec.template for group in groups}) < 2:
        return []
    found: dict[object, dict[Template, dict[int, Record]]] = {}
    for group in groups:
        first = group[0]
        if first.status == "ok" and first.episode_scores:
            by_template = found.setdefault(_key(first), {})
            by_template[first.spec.template] = {record.spec.seed: record for record in group}
    made = (_over(by_template) for by_template in found.values())
    return [each for each in made if each is not None]


def _without_template(record: Record) -> Record:
    return record.model_copy(update={"spec": record.spec.model_copy(update={"template": 0})})


def _key(record: Record) -> object:
    """What rows share that differ in the template alone."""
    plain = record if record.spec.template == 0 else _without_template(record)
    mark = revision_mark(str(record.identity.get("template", "")))
    return run_key(plain), data_of(record).replace(mark, ""), record.metric, record.identity.get("protocol")


def _over(by_template: dict[Template, dict[int, Record]]) -> OverTemplates | None:
    """A row over templates; None for a single one, or without episodes that all of them have."""
    templates = sorted(by_template, key=lambda template: (isinstance(template, str), str(template).zfill(6)))
    first, *others = (by_template[template] for template in templates)
    seeds = [seed for seed, record in first.items() if all(_same_draw(record, other.get(seed)) for other in others)]
    if not (others and seeds):
        return None
    groups = tuple(tuple(by_template[template][seed] for seed in seeds) for template in templates)
    score = row_score([_averaged(of_seed) for of_seed in zip(*groups, strict=True)])
    assert score is not None, "rows have scores"
    each = [mean_score([score for record in group for score in record.episode_scores]) for group in groups]
    return OverTemplates(groups, tuple(templates), score, min(each), max(each))


def _same_draw(record: Record, other: Record | None) -> bool:
    return other is not None and len(other.episode_scores) == len(record.episode_scores)


def _averaged(records: Sequence[Record]) -> Record:
    """A record of one seed with scores of episodes averaged over templates, and ends of intervals likewise."""
    # Episodes are the same draws with each template, so that their means are the units of an interval.

    def mean_end(end: str) -> float | None:
        known = [value for record in records if (value := getattr(record, end)) is not None]
        return mean_score(known) if len(known) == len(records) else None

    scores = np.mean([record.episode_scores for record in records], axis=0).tolist()
    ends = {end: mean_end(end) for end in ("ci_low", "ci_high")}
    return records[0].model_copy(update={"episode_scores": scores, "value": mean_score(scores), **ends})
