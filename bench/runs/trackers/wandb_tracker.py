"""Tracker on W&B."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, cast

from bench.results.record import Record
from bench.runs.trackers.interface import PROJECT
from bench.runs.trackers.record_log import display_name, log_record, row_name, shown
from bench.spec.run_spec import RunSpec

if TYPE_CHECKING:
    from lightning.pytorch.loggers import Logger, WandbLogger

Mode = Literal["online", "offline", "disabled"]
MOST_TAG = 64
"""Most characters of a tag."""


class WandbTracker:
    """Tracker on W&B: a W&B run for each record, by the record's id, so that a repeated run continues the same one.

    Seeds of a row are one group. The W&B run is open during the run, so that W&B's samples of the system belong to it;
    that of the first run of a process is opened at its end, as starting W&B takes seconds, which no score waits for.

    Attributes:
        folder: Folder of offline runs.
        suite: Name of the suite, a tag of all runs; None outside of suites.
        predictions: Whether each run has a table of its predictions.
    """

    name: ClassVar[str] = "wandb"

    def __init__(self, folder: Path, suite: str | None = None, predictions: bool = False) -> None:
        self.folder, self.suite, self.predictions = folder, suite, predictions
        self._open: tuple[str, WandbLogger] | None = None
        self._tracked = False
        # Before a run has settings, this variable alone keeps W&B off the terminal.
        os.environ.setdefault("WANDB_SILENT", "true")

    @cached_property
    def mode(self) -> Mode:
        """``WANDB_MODE`` if set; else online with an accepted key, and offline otherwise."""
        import wandb  # slow to import, and only needed where a record is tracked

        # Makes the client read WANDB_SILENT now; otherwise it warns about Lightning's arguments.
        wandb.setup()
        chosen = os.environ.get("WANDB_MODE")
        if chosen:
            return cast(Mode, chosen)
        try:
            return "online" if wandb.login(prompt=False) else "offline"
        except Exception:  # without a server the run is kept on disk
            return "offline"

    def begin(self, id_: str, spec: RunSpec) -> None:
        """Open the W&B run, unless W&B would have to be started for it.

        Args:
            id_: Id of the record.
            spec: The run.
        """
        if self._tracked:
            self._open = id_, self._started(id_, spec)

    def __call__(self, record: Record) -> None:
        """Log a record, and end its W&B run.

        Args:
            record: The record.
        """
        self._tracked = True
        try:
            self._log(record)
        except Exception:
            if self.mode != "online":
                raise
            # An unreachable server would cost every further run its time-out.
            self.__dict__["mode"] = "offline"
            self._log(record)

    def hint(self) -> str | None:
        """Command that sends offline runs to W&B, or None if there are none."""
        if self.__dict__.get("mode") != "offline":
            return None
        return f"W&B runs were kept offline; to send them: wandb sync {self.folder / 'wandb'}/offline-run-*"

    def logger(self, id_: str, name: str, **options: Any) -> "WandbLogger":
        """Make Lightning's logger of one W&B run; ``wandb.finish()`` ends it.

        Args:
            id_: Id of the W&B run; a later logger with the same id continues it, if it is online.
            name: Display name.
            **options: Further arguments of WandbLogger.

        Returns:
            The logger.
        """
        import wandb
        from lightning.pytorch.loggers import WandbLogger

        _list_packages_once()
        self.folder.mkdir(parents=True, exist_ok=True)
        return WandbLogger(
            project=PROJECT,
            # W&B's service keeps the working directory of its first use, where a later relative path would end.
            save_dir=self.folder.absolute(),
            id=id_,
            name=shown(name),
            resume="allow" if self.mode == "online" else None,
            settings=wandb.Settings(mode=self.mode, silent=True, console="off", disable_git=True),
            **{option: shown(value) for option, value in options.items()},
        )

    @contextmanager
    def open(self, id_: str, name: str, group: str, job_type: str) -> Iterator["WandbLogger"]:
        """Open a W&B run; see LightningTracker.

        Args:
            id_: Identifier.
            name: Display name.
            group: Group of the run.
            job_type: Kind of the run.

        Yields:
            The logger.
        """
        import wandb

        try:
            yield self.logger(id_, name, group=group, job_type=job_type)
        finally:
            wandb.finish()

    def log_figures(self, logger: "Logger", figures: Mapping[str, Any]) -> None:
        """Log figures as W&B's plots.

        Args:
            logger: A logger from ``open``.
            figures: Figures by name.
        """
        import wandb

        run = cast("WandbLogger", logger).experiment
        run.log({f"plots/{name}": wandb.Plotly(figure) for name, figure in figures.items()})

    def _started(self, id_: str, spec: RunSpec) -> "WandbLogger":
        made = self.logger(
            id_,
            display_name(spec),
            group=row_name(spec),
            job_type=spec.method,
            tags=[name[:MOST_TAG] for name in (spec.task, spec.method, self.suite) if name],
        )
        # W&B starts a run at the first access.
        made.experiment  # noqa: B018
        return made

    def _log(self, record: Record) -> None:
        import wandb

        from bench.runs.trackers.prediction_table import prediction_table

        opened, self._open = self._open, None
        same = opened is not None and opened[0] == record.id
        made = opened[1] if opened is not None and same else self._started(record.id, record.spec)
        try:
            made.experiment.tags = (*made.experiment.tags, record.status)
            log_record(made, record)
            table = prediction_table(self.folder, record) if self.predictions else None
            if table is not None:
                made.experiment.log({"predictions": wandb.Table(columns=list(table[0]), data=table[1])})
        finally:
            wandb.finish()


@cache
def _list_packages_once() -> None:
    """Let all W&B runs of this process have one list of the installed packages, which W&B reads anew for each of them.

    Reading it takes longer than many a run.
    """
    from wandb import util

    packages = tuple(util.working_set())
    util.working_set = lambda: packages
