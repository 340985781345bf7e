"""Ratios of costs that were measured in turn, kept beside the records of both runs: ``STORE/ratios/A-B.json``."""

import warnings
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from bench.contracts.errors import BenchWarning, StoreError
from bench.costs.in_turn import InTurn, Ratio
from bench.results.record import Record
from bench.results.store_files import RATIOS
from bench.spec.conditions import Conditions
from bench.toolkit.durable import make_folder, write_atomic


@dataclass(frozen=True)
class MeasuredRatios:
    """Ratios of two runs' costs.

    Attributes:
        axes: One for each measured axis, ``Ratio.cost`` being its name.
        pairs: Number of pairs of measurements.
        conditions: Load of the host meanwhile.
    """

    axes: tuple[Ratio, ...]
    pairs: int
    conditions: Conditions

    def of(self, axis: str) -> Ratio | None:
        """The ratio on an axis; None where it was not measured."""
        return next((ratio for ratio in self.axes if ratio.cost == axis), None)


_ADAPTER = TypeAdapter(MeasuredRatios)


@dataclass(frozen=True)
class RatioFiles:
    """The ratios of a store.

    Attributes:
        root: Folder of the store.
    """

    root: Path

    def path(self, a: Record, b: Record) -> Path:
        """File of the ratio of run a to run b, whether or not there is one."""
        return self.root / RATIOS / f"{a.id}-{b.id}.json"

    def read(self, a: Record, b: Record) -> MeasuredRatios | None:
        """The ratios of run a to run b.

        Args:
            a: Record of the first run.
            b: Record of the second run.

        Returns:
            The ratios; None where none were measured, and with a ``BenchWarning`` where the file is damaged.
        """
        path = self.path(a, b)
        try:
            return _ADAPTER.validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            reason = error.strerror if isinstance(error, OSError) else f"{error.error_count()} of its fields are wrong"
            warnings.warn(f"ratios of costs in {path} cannot be read ({reason})", BenchWarning, stacklevel=2)
            return None

    def write(self, a: Record, b: Record, measured: InTurn) -> None:
        """Keep the ratios of run a to run b.

        Args:
            a: Record of the first run.
            b: Record of the second run.
            measured: The measurement.

        Raises:
            StoreError: If the file cannot be written.
        """
        path = self.path(a, b)
        try:
            make_folder(path.parent)
            content = _ADAPTER.dump_json(MeasuredRatios(measured.axes, measured.pairs, measured.conditions), indent=1)
            write_atomic(path, content)
        except OSError as error:
            raise StoreError(f"{path} cannot be written: {error.strerror}; free space or use --store DIR") from error
