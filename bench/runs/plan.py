"""Planned runs: resolved runs with their episodes and their identity."""

import traceback
from dataclasses import dataclass
from typing import Any, Literal

from bench.contracts import Backbone, BenchError, TaskData
from bench.contracts.errors import ChildError, one_line_error
from bench.data.episodes import Episodes
from bench.engine.trainer import DeviceOptions
from bench.results.identity import run_identity
from bench.results.provenance import provenance
from bench.results.record import Record, run_id
from bench.results.run_texts import shots_text, task_text
from bench.spec.resolve import ResolvedRun, resolve
from bench.spec.run_spec import RunSpec
from bench.toolkit.secrets import scrubbed


@dataclass(frozen=True)
class PlannedRun:
    """A resolved run with the episodes of its score.

    Attributes:
        run: The resolved run.
        identity: All facts that change the run's value; its hash is the record's id.
        reference_id: Id of the run whose costs are this one's budget; None without a match.
        episodes: The drawn episodes.
    """

    run: ResolvedRun
    identity: dict[str, Any]
    reference_id: str | None
    episodes: Episodes

    @property
    def spec(self) -> RunSpec:
        """The run by names, as the user wrote it."""
        return self.run.spec

    @property
    def id(self) -> str:
        """Id of the record."""
        return run_id(self.identity)

    @property
    def title(self) -> str:
        """The run in words, for other processes that wait for it."""
        return f"{task_text(self.spec)} {self.spec.method} {shots_text(self.spec.shots)}, seed {self.spec.seed}"

    def record(self, **result: Any) -> Record:
        """A record of this run.

        Args:
            **result: Fields of the result.

        Returns:
            The record.
        """
        return Record(id=self.id, spec=self.spec, identity=self.identity, **result)

    def failed(self, error: Exception, device: str) -> Record:
        """A failed record of this run; an unexpected exception keeps its traceback.

        Args:
            error: The exception that ended the run.
            device: Name of the device.

        Returns:
            The record.
        """
        facts = provenance(device)
        if not isinstance(error, BenchError):
            own = "".join(traceback.format_exception(error))
            facts["traceback"] = scrubbed(error.traceback if isinstance(error, ChildError) else own)
        return self.record(status="failed", reason=scrubbed(one_line_error(error)), provenance=facts)


@dataclass(frozen=True)
class PlanEntry:
    """One run of a plan.

    Attributes:
        spec: The run.
        id: Id of its record.
        status: "recorded", "to run", or "skipped" where the method does not serve the task.
        reason: Why it is skipped.
        expected_seconds: Seconds of adapting and answering, from recorded costs of a run like it; None if there are
            none, and where nothing is to run.
    """

    spec: RunSpec
    id: str
    status: Literal["recorded", "to run", "skipped"]
    reason: str = ""
    expected_seconds: float | None = None


def planned(
    spec: RunSpec, episodes: Episodes, data: TaskData, backbone: Backbone, devices: DeviceOptions
) -> PlannedRun:
    """Resolve a run and compute its identity.

    Args:
        spec: The run, by name.
        episodes: Its episodes.
        data: The task's loaded data.
        backbone: The loaded backbone.
        devices: Device and precision.

    Returns:
        The planned run.

    Raises:
        UsageError: For an unknown name or field.
    """
    run, reference = resolve(spec), spec.reference()
    facts = (data.revision, backbone.fingerprint, devices.device_kind())
    other = None if reference is None else run_identity(resolve(reference), *facts)
    return PlannedRun(run, run_identity(run, *facts, other), None if other is None else run_id(other), episodes)
