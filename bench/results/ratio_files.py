"""Ratios of costs that were measured in turn, kept beside the records of both runs: ``STORE/ratios/A-B.json``."""

import json
import warnings
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from bench.contracts.errors import BenchWarning, one_line
from bench.costs.in_turn import InTurn, Ratio
from bench.results.record import Record
from bench.results.record_text import digest_of
from bench.results.store_files import RATIOS
from bench.spec.conditions import Conditions
from bench.toolkit.durable import make_folder, write_atomic, writing


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
            content = json.loads(path.read_bytes())
            if content.pop("digest", None) != digest_of(content):
                raise ValueError("its digest is wrong")
            return _ADAPTER.validate_python(content)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, AttributeError, TypeError) as error:
            line = f"ratios of costs in {path} cannot be read ({one_line(error)}) and count as not measured"
            warnings.warn(line, BenchWarning, stacklevel=2)
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
        path, found = self.path(a, b), MeasuredRatios(measured.axes, measured.pairs, measured.conditions)
        content = _ADAPTER.dump_python(found, mode="json")
        with writing(path, "free space or use --store DIR"):
            make_folder(path.parent)
            write_atomic(path, json.dumps({**content, "digest": digest_of(content)}, indent=1))
