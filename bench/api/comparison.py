"""Comparison of two methods, with its forms as text."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, overload

from bench.api.formats import TextFormat, chosen_format

if TYPE_CHECKING:
    from bench.reports.compare import Difference
    from bench.reports.noted_table import NotedTable
    from bench.runs.cost_comparison import CostComparison


class Comparison(Sequence["Difference"]):
    """Paired differences of two methods, one for each task and number of shots.

    Attributes:
        a: Name of the first method.
        b: Name of the second method.
        differences: Score of ``a`` minus score of ``b``, with intervals and tests.
        costs: Ratios of their costs, measured in turn, in the same order; empty unless they were measured.
    """

    def __init__(
        self, a: str, b: str, differences: Iterable["Difference"], costs: Iterable["CostComparison"] = ()
    ) -> None:
        self.a, self.b = a, b
        self.differences = tuple(differences)
        self.costs = tuple(costs)

    @overload
    def __getitem__(self, index: int) -> "Difference": ...
    @overload
    def __getitem__(self, index: slice) -> Sequence["Difference"]: ...
    def __getitem__(self, index: int | slice) -> "Difference | Sequence[Difference]":
        return self.differences[index]

    def __len__(self) -> int:
        return len(self.differences)

    def table(self, format: TextFormat = "table") -> str:
        """The comparison as text.

        Args:
            format: "table" or "markdown".

        Returns:
            The text, with a line break at its end.

        Raises:
            UsageError: For another format.
        """
        from bench.reports.noted_table import FORMATS

        write = chosen_format(FORMATS, format)
        return "\n".join(map(write, self._tables()))

    def _tables(self) -> "Iterator[NotedTable]":
        from bench.reports.compare_tables import difference_table

        yield difference_table(self.differences, self.a, self.b)
        if self.costs:
            from bench.reports.cost_ratios import ratio_table

            yield ratio_table(self.costs, self.a, self.b)

    def __str__(self) -> str:
        return self.table()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return "".join(table.as_html() for table in self._tables())
