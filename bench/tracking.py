"""Every new record also goes to W&B, through Lightning's logger.

Local records stay the source of truth: a tracker that fails is reported and fails nothing.
"""

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from bench.records import Record

if TYPE_CHECKING:
    from lightning.pytorch.loggers import WandbLogger

Mode = Literal["online", "offline", "disabled"]


class WandbTracker:
    """Logs records to W&B: one run each, under the record's id, so that a rerun goes on in the same W&B run."""

    def __init__(self, folder: Path, project: str = "faast-bench", group: str | None = None) -> None:
        self.folder, self.project, self.group = folder, project, group
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

    def __call__(self, record: Record) -> None:
        """Log config, score, seconds by stage and peak memory of a record."""
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
            settings=wandb.Settings(mode=self.mode, silent=True, console="off", x_disable_stats=True, disable_git=True),
            **options,
        )

    def _log(self, record: Record) -> None:
        import wandb

        spec = record.spec
        logger = self.logger(
            record.id,
            f"{spec.task}-{spec.method}-{spec.n_shot}shot-seed{spec.seed}",
            group=self.group or spec.task,
            job_type=spec.method,
            tags=[spec.task, spec.method, record.status],
        )
        try:
            logger.log_hyperparams({**record.identity, "status": record.status, "reason": record.reason})
            logger.log_metrics(metrics(record))
        finally:
            wandb.finish()


def metrics(record: Record) -> dict[str, float]:
    """The numbers of a record under the names they have on W&B."""
    numbers: dict[str, Any] = {f"score/{record.metric}": record.value, "score/ci95": record.ci95}
    if record.costs is not None:
        numbers |= {
            "seconds/encode": record.costs.encode.seconds,
            "seconds/adapt": record.costs.adapt.seconds,
            "seconds/query": record.costs.query_milliseconds / 1000,
            "memory/peak_mb": record.costs.peak_memory_mb,
            "memory/state_mb": record.costs.state_mb,
            "params/trainable": record.costs.trainable_params,
        }
    return {name: float(value) for name, value in numbers.items() if value is not None}
