"""Metrics: from predictions and references to values of each query, and from those to scores, intervals and tests."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from bench.contracts.kinds import Kind
from bench.contracts.references import Target, references
from bench.stats.comparison import Paired
from bench.stats.intervals import Floats, Interval, Scale, parts_interval
from bench.stats.paired import compare_parts
from bench.stats.paired_many import Places, Tests

FieldType = Literal["bool", "int64", "float64"]
"""Types of columns of per-query predictions, by their Parquet names."""


@dataclass(frozen=True)
class EpisodePredictions:
    """A method's predictions for the queries of one episode, and the references they are scored against.

    Attributes:
        scores: Classification: ``[query, way]``, larger for likelier classes. Language modelling: ``[query, 2]``,
            negative log-likelihood of a text in nats and its number of scored tokens. Empty for generation.
        labels: ``[query]``, columns of ``scores`` that are right; all 0 where there are no classes.
        generated: ``[query]``, written texts; empty unless the task is one of text generation.
        targets: ``[query]``, reference texts, one or a tuple of several for each query; empty for tasks without them.
        answer_set: Parts that written answers are made of, see ``Task.answer_set``.
        texts: ``[query]``, the texts themselves in language modelling; empty otherwise.
    """

    scores: Floats = field(default_factory=lambda: np.empty((0, 0)))
    labels: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    generated: Sequence[str] = ()
    targets: Sequence[Target] = ()
    texts: Sequence[str] = ()
    answer_set: tuple[str, ...] = ()

    @property
    def written(self) -> list[tuple[str, tuple[str, ...]]]:
        """``[query]`` pairs of a written text and its reference texts."""
        pairs = zip(self.generated, self.targets, strict=True)
        return [(text, references(target)) for text, target in pairs]


class Metric(ABC):
    """A metric plugin. Its file name is its name; the module's ``PLUGIN`` is the class.

    The score of an episode is ``score`` of the parts of its queries, summed. The score of a run, and of a row of any
    report, is the mean over episodes of their scores.

    Attributes:
        title: The quantity, as captions and axes call it.
        unit: Unit of a score; empty for a number without one.
        decimals: Decimals of a score in tables; differences have one more.
        higher_is_better: False for errors and losses, whose smallest score is the best.
        kinds: Kinds of task whose predictions it can score.
        fields: Columns that are stored of each query, in the order of ``query_values``, with their types in the Parquet
            file: "bool" (0 or 1), "int64" (whole numbers) or "float64".
        bounds: Smallest and largest possible score, infinite where there is none; intervals lie between them.
        log_scale: Whether ratios of scores matter rather than differences; intervals are then symmetric in the
            logarithm.
        version: Part of a record's identity; change it where values change and the code does not, as with a compiled
            library.
        name: Name in the registry, which tasks and records have.
    """

    title: ClassVar[str]
    unit: ClassVar[str] = ""
    decimals: ClassVar[int] = 2
    higher_is_better: ClassVar[bool] = True
    kinds: ClassVar[frozenset[Kind]]
    fields: ClassVar[Mapping[str, FieldType]]
    bounds: ClassVar[tuple[float, float]] = (-math.inf, math.inf)
    log_scale: ClassVar[bool] = False
    version: ClassVar[str] = ""
    name: str

    def __init__(self, name: str) -> None:
        """Make the metric that the registry knows as ``name``."""
        self.name = name

    @property
    def label(self) -> str:
        """Quantity, unit, and the direction where less is better."""
        text = f"{self.title} in {self.unit}" if self.unit else self.title
        return text if self.higher_is_better else f"{text} (lower is better)"

    @abstractmethod
    def query_values(self, episode: EpisodePredictions) -> Floats:
        """Values of each query of one episode.

        Returns:
            ``[query, field]``, columns in the order of ``fields``.

        Raises:
            NumericalError: A prediction is not finite.
        """

    def parts(self, values: Floats) -> Floats:
        """What is summed over queries, by default their values.

        Args:
            values: ``[query, field]``.

        Returns:
            ``[query, part]``.
        """
        return values

    @abstractmethod
    def score(self, sums: Floats) -> Floats:
        """Scores from summed parts.

        Args:
            sums: ``[..., part]``, each over any selection of queries.

        Returns:
            ``[...]``, in the metric's unit.
        """

    def episode_score(self, values: Floats) -> float:
        """The score of one episode from the values of its queries, ``[query, field]``."""
        # Each column by itself: numpy sums pairwise along a vector, which is more exact than row after row.
        return float(self.score(np.array([column.sum() for column in self.parts(values).T])))

    @property
    def scale(self) -> Scale:
        """The scale that intervals are made on."""
        return Scale(*self.bounds, log=self.log_scale)

    def interval(self, values: Floats) -> Interval | None:
        """The 95% interval of one episode's score: by default the jackknife over its queries, on the metric's scale.

        Args:
            values: ``[query, field]``.

        Returns:
            The interval in the metric's unit; None for a single query, which says nothing of how queries differ.
        """
        return parts_interval(self.parts(values), self.score, self.scale)

    def compare(self, a: Floats, b: Floats, present: NDArray[np.bool_]) -> Paired:
        """Compare two methods on the queries of a few shared episodes: by default swaps of whole queries.

        Args:
            a: ``[query, episode, part]``, 0 where a query is not in an episode.
            b: The same of the other method.
            present: ``[query, episode]``, which queries each episode has.

        Returns:
            Scores, difference, interval and p-value.
        """
        return compare_parts(a, b, present, self.score)

    def compare_pairs(self, tables: Floats, present: NDArray[np.bool_], first: Places, second: Places) -> Tests | None:
        """Compare many pairs of methods at once, each as by ``compare``; by default they are compared one by one.

        Args:
            tables: ``[method, query, episode, part]``, 0 where a query is not in an episode.
            present: ``[query, episode]``, which queries each episode has.
            first: ``[pair]``, the first method of each pair.
            second: ``[pair]``, the second one.

        Returns:
            The tests, or None.
        """
        return None

    def notes(self, episodes: Sequence[EpisodePredictions], values: Sequence[Floats]) -> dict[str, Any]:
        """Further facts for the record of a run, such as a signature; by default none.

        Args:
            episodes: Predictions of each episode.
            values: ``[query, field]`` of each episode.

        Returns:
            Facts by name.
        """
        return {}

    def sort_score(self, value: float) -> float:
        """The score, turned round where less is better, so that larger is better."""
        return value if self.higher_is_better else -value

    def text(self, value: float) -> str:
        """A score, or an end of its interval, as tables print it."""
        return f"{value:.{self.decimals}f}"

    def difference_text(self, value: float, sign: str = "+") -> str:
        """A difference of scores as tables print it, with one decimal more than a score."""
        return f"{value:{sign}.{self.decimals + 1}f}"
