"""Planned runs: resolved runs with their episodes and their identity."""

import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import registry
from bench.contracts import Backbone, BenchError, TaskData
from bench.costs.worker import ChildError
from bench.data.episodes import Episodes
from bench.engine.trainer import DeviceOptions
from bench.results.provenance import HARNESS, code_fingerprint, library_versions, provenance
from bench.results.record import Record, run_id
from bench.runs.report import one_line_error
from bench.spec.resolve import ResolvedRun, resolve
from bench.spec.suite import RunSpec
from bench.toolkit.files import file_hash


@dataclass(frozen=True)
class PlannedRun:
    """A resolved run with the episodes it is scored on.

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
        """What the user asked for."""
        return self.run.spec

    @property
    def id(self) -> str:
        """Id of the record."""
        return run_id(self.identity)

    def record(self, **result: Any) -> Record:
        """A record of this run with the given result."""
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
            facts["traceback"] = error.traceback if isinstance(error, ChildError) else own
        return self.record(status="failed", reason=one_line_error(error), provenance=facts)


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
    other = None if reference is None else _identity(resolve(reference), data, backbone, devices, None)
    identity = _identity(run, data, backbone, devices, other)
    return PlannedRun(run, identity, None if other is None else run_id(other), episodes)


def _identity(
    run: ResolvedRun, data: TaskData, backbone: Backbone, devices: DeviceOptions, reference: dict[str, Any] | None
) -> dict[str, Any]:
    """All facts that change a run's value."""
    spec = run.spec
    modules = (
        registry.get("methods", spec.method).module,
        registry.get("tasks", spec.task).module,
        registry.get("backbones", spec.backbone.partition(":")[0]).module,
        *HARNESS,
    )
    # A file that a config names can change while its name stays.
    files = {name: value for name, value in run.config if isinstance(value, Path) and value.is_file()}
    hashes = {f"{name} file": file_hash(path) for name, path in files.items()}
    budget: dict[str, Any] = {"budget": spec.budget.limits()} if spec.budget.limits() else {}
    if spec.tuning is not None:
        budget["tuning"] = spec.tuning.identity()
    if reference is not None and spec.match is not None:
        budget["match"] = {
            "method": spec.match.method,
            "axes": spec.match.axes,
            "config": reference["config"],
            "code": reference["code"],
        }
    return {
        **spec.model_dump(exclude={"config", "budget", "match", "tuning"}),
        **budget,
        "config": run.config.model_dump(mode="json") | hashes,
        "data": data.revision,
        "weights": backbone.fingerprint,
        "code": code_fingerprint(modules),
        "libraries": library_versions(),
        "device": devices.device_name(),
    }
