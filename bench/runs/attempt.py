"""One attempt at a run: measured and answered first, then scored; what goes wrong in either half becomes its record."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from bench.contracts.errors import one_line_error
from bench.engine.process_ending import ran_out_of_memory
from bench.results.record import Record
from bench.runs.plan import PlannedRun
from bench.runs.shared_costs import RUN_SECONDS
from bench.runs.single_run import Result, SingleRun


@dataclass
class Attempt:
    """One attempt at a run.

    Attributes:
        planned: The run.
        device: Model of the device.
        provenance: Where and how the record is made.
        earlier: Looks up the finished record of the run, whose costs alone are measured again; None to run it.
        keep: Keeps the record of an interrupted run.
        kept: The earlier record, with a problem that says why it stays.
        repair: Called with an error of the run, which may have harmed what other runs share.
    """

    planned: PlannedRun
    device: str
    provenance: dict[str, Any]
    earlier: Callable[[], Record | None]
    keep: Callable[[Record], None]
    kept: Callable[[Record, Exception], Record]
    repair: Callable[[Exception], None]
    _began: float = field(default_factory=time.monotonic, init=False)
    _single: SingleRun | None = field(default=None, init=False)
    _earlier: Record | None = field(default=None, init=False)

    def answered(self, make: Callable[[], SingleRun]) -> Callable[[], Result]:
        """Measure and answer the run.

        Args:
            make: Makes the run in progress; what it raises is an error of the run.

        Returns:
            A function that makes record and predictions. An exception becomes a record with the reason.
        """
        try:
            with self._recorded():
                self._single = make()
                self._earlier = self.earlier()
                # Steps and score of a run with limits depend on the measurement, so that it is run again.
                if self._earlier is not None and self._earlier.status == "ok" and not self._earlier.limits:
                    again = self._single.remeasure(self._earlier)
                    return lambda: (again, None)
                score = self._single.answered()
        except Exception as error:  # a defect of a plugin leaves the other runs unharmed
            failed = self._failed(error), None
            return lambda: failed
        return lambda: self._scored(score)

    def _scored(self, score: Callable[[], Result]) -> Result:
        try:
            with self._recorded():
                record, predictions = score()
        except Exception as error:
            return self._failed(error), None
        taken = record.provenance | {RUN_SECONDS: round(time.monotonic() - self._began, 3)}
        return record.model_copy(update={"provenance": taken}), predictions

    def _failed(self, error: Exception) -> Record:
        if self._earlier is not None:
            return self.kept(self._earlier, error)
        if ran_out_of_memory(error):
            reason = f"memory ran out: {one_line_error(error)}"
            limits = self.planned.spec.budget.limits()
            return self.planned.record(
                status="over_budget", reason=reason, limits=limits, provenance=self.provenance
            )  # fmt: skip
        self.repair(error)
        return self.planned.failed(error, self.device)

    @contextmanager
    def _recorded(self) -> Iterator[None]:
        """Record an interrupt, which Lightning may turn into an exit."""
        try:
            yield
        except Exception:
            raise
        except BaseException:
            if self._earlier is not None:  # a score that is there is kept
                raise
            seconds = time.monotonic() - self._began
            known = self._single.costs if self._single else None
            stage = "while its costs were measured" if known is None else "while it was scored"
            self.keep(
                self.planned.record(
                    status="failed",
                    reason=f"interrupted {stage}, after {seconds:.1f} s; run again to complete it",
                    costs=known,
                    notes={"partial_seconds": seconds},
                    provenance=self.provenance,
                )
            )
            raise
