"""Every new record also goes to a tracker, through one of Lightning's loggers: W&B by default.

Local records stay the source of truth: a tracker that fails is reported and fails nothing.
"""

import os
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, cast

from bench.contracts.errors import UsageError
from bench.results.record import Record
from bench.spec.axes import AXES
from bench.spec.suite import RunSpec, task_slug

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger, WandbLogger


Mode = Literal["online", "offline", "disabled"]
PROJECT = "faast-bench"


class Tracker(Protocol):
    """Receives every run that is made."""

    def begin(self, id_: str, spec: RunSpec) -> None:
        """A run begins, whose record will have this id."""

    def __call__(self, record: Record) -> None:
        """A run has ended."""

    def hint(self) -> str | None:
        """What the user should know in the end, or None."""


def display_name(spec: RunSpec) -> str:
    """What a run is called where people look at many."""
    return f"{task_slug(spec.task, spec.prompt)}-{spec.method}-{spec.shots}shot-seed{spec.seed}"


def log_record(logger: "Logger", record: Record) -> None:
    """Config, budget, curve of the loss and all numbers of a record, to any of Lightning's loggers."""
    outcome = {
        "status": record.status,
        "reason": record.reason,
        "limits": record.limits,
        "violations": record.violations,
    }
    logger.log_hyperparams({**record.identity, **outcome, "provenance": record.provenance})
    for step, loss in record.notes.get("loss_curve", []):
        logger.log_metrics({"train/loss": loss}, step=step)
    logger.log_metrics(metrics(record), step=record.costs.steps + 1 if record.costs else 0)


class WandbTracker:
    """Logs records to W&B: one run each, under the record's id, so that a rerun goes on in the same W&B run.

    The W&B run is open while the run is made, so that W&B's own samples of the system are of it.
    """

    def __init__(self, folder: Path, project: str = PROJECT, group: str | None = None) -> None:
        self.folder, self.project, self.group = folder, project, group
        self._open: tuple[str, WandbLogger] | None = None
        # W&B speaks to the terminal by this variable alone before a run has settings.
        os.environ.setdefault("WANDB_SILENT", "true")

    @cached_property
    def mode(self) -> Mode:
        """``WANDB_MODE`` if set; else online where a key is found and accepted, and offline otherwise."""
        import wandb  # slow to import, and only needed where a record is tracked

        # Makes the client read WANDB_SILENT now; else it warns of what Lightning passes to it.
        wandb.setup()
        chosen = os.environ.get("WANDB_MODE")
        if chosen:
            return cast(Mode, chosen)
        try:
            return "online" if wandb.login(prompt=False) else "offline"
        except Exception:  # whatever the server or the network says, the run is kept on disk
            return "offline"

    def begin(self, id_: str, spec: RunSpec) -> None:
        """Open the W&B run."""
        self._open = id_, self._started(id_, spec)

    def __call__(self, record: Record) -> None:
        """Log a record, and end its W&B run."""
        try:
            self._log(record)
        except Exception:
            if self.mode != "online":
                raise
            # A server that went away would cost every further run its time-out.
            self.__dict__["mode"] = "offline"
            self._log(record)

    def hint(self) -> str | None:
        """How to send what was kept on disk, or None if nothing was."""
        if self.__dict__.get("mode") != "offline":
            return None
        return f"W&B runs were kept offline; to send them: wandb sync {self.folder / 'wandb'}/offline-run-*"

    def logger(self, id_: str, name: str, **options: Any) -> "WandbLogger":
        """Lightning's logger of one W&B run; ``wandb.finish()`` ends it.

        id_: a later logger with the same id goes on in the same run, if it is online.
        """
        import wandb
        from lightning.pytorch.loggers import WandbLogger

        self.folder.mkdir(parents=True, exist_ok=True)
        return WandbLogger(
            project=self.project,
            save_dir=self.folder,
            id=id_,
            name=name,
            resume="allow" if self.mode == "online" else None,
            settings=wandb.Settings(mode=self.mode, silent=True, console="off", disable_git=True),
            **options,
        )

    def _started(self, id_: str, spec: RunSpec) -> "WandbLogger":
        made = self.logger(
            id_,
            display_name(spec),
            group=self.group or task_slug(spec.task, spec.prompt),
            job_type=spec.method,
            tags=[spec.task, spec.method],
        )
        # W&B starts a run when it is first asked for.
        made.experiment  # noqa: B018
        return made

    def _log(self, record: Record) -> None:
        import wandb

        opened, self._open = self._open, None
        same = opened is not None and opened[0] == record.id
        made = opened[1] if opened is not None and same else self._started(record.id, record.spec)
        try:
            made.experiment.tags = (*made.experiment.tags, record.status)
            log_record(made, record)
        finally:
            wandb.finish()


LOGGERS = {
    "tensorboard": ("TensorBoardLogger", ("tensorboard", "tensorboardX")),
    "csv": ("CSVLogger", ()),
    "mlflow": ("MLFlowLogger", ("mlflow",)),
}
"""Lightning's loggers by their name here, and the packages of which one is needed."""


class LoggerTracker:
    """Logs records with another of Lightning's loggers, below the store, in a folder of the logger's name.

    MLflow takes its server from MLFLOW_TRACKING_URI, and gives runs ids of its own: the record's is in a tag.
    """

    def __init__(self, folder: Path, kind: str, group: str | None = None) -> None:
        """Raises UsageError if the logger's package is not installed."""
        self.folder, self.kind, self.group = folder / kind, kind, group
        needed = LOGGERS[kind][1]
        if needed and not any(find_spec(name) for name in needed):
            raise UsageError(f"--logger {kind} needs the package {' or '.join(needed)}; pip install {needed[0]}")

    def begin(self, id_: str, spec: RunSpec) -> None:
        """There is nothing to open."""

    def __call__(self, record: Record) -> None:
        """Log a record."""
        logger = self._logger(record)
        log_record(logger, record)
        logger.finalize("success" if record.status == "ok" else "failed")

    def hint(self) -> str | None:
        """Where it is."""
        return f"logged to {self.folder}" if self.folder.exists() else None

    def _logger(self, record: Record) -> "Logger":
        from lightning.pytorch import loggers

        name = display_name(record.spec)
        made = getattr(loggers, LOGGERS[self.kind][0])
        if self.kind == "mlflow":
            # Where no server is named, plain files do: MLflow asks for leave to write them, and a database needs more.
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
            uri = os.environ.get("MLFLOW_TRACKING_URI") or self.folder.absolute().as_uri()
            tags = {
                "bench_id": record.id,
                "group": self.group or task_slug(record.spec.task, record.spec.prompt),
                "status": record.status,
            }
            return cast("Logger", made(PROJECT, name, tracking_uri=uri, tags=tags))
        self.folder.mkdir(parents=True, exist_ok=True)
        return cast("Logger", made(self.folder, name=name, version=record.id))


def metrics(record: Record) -> dict[str, float]:
    """The numbers of a record under the names they have in a tracker."""
    numbers: dict[str, Any] = {f"score/{record.metric}": record.value, "score/ci95": record.ci95}
    if (costs := record.costs) is not None:
        for name in ("encode", "adapt", "query"):
            stage = getattr(costs, name)
            numbers |= {
                f"seconds/{name}": stage.seconds,
                f"seconds/{name}_spread": stage.seconds_spread,
                f"memory/{name}_peak_mb": stage.peak_memory_mb,
                f"memory/{name}_reserved_mb": stage.reserved_memory_mb,
                f"flops/{name}": stage.flops,
            }
        for axis in AXES:
            if axis.tracker_name and (value := axis.of_costs(costs)) is not None:
                numbers[axis.tracker_name] = value / axis.tracker_per
    numbers |= {f"budget/{axis}": limit for axis, limit in record.limits.items()}
    return {name: float(value) for name, value in numbers.items() if value is not None}
