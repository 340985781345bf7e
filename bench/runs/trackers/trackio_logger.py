"""Lightning's logger on trackio, which has none of its own."""

import io
from argparse import Namespace
from collections.abc import Mapping
from contextlib import redirect_stdout
from typing import Any

import trackio
from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only

from bench.runs.trackers.interface import PROJECT

_finish: Any = trackio.finish  # it has no types


class TrackioLogger(Logger):
    """Logger of one run of trackio, which begins with its first number, when its config is known.

    Trackio has one run at a time, and prints its own lines, which are left out.
    """

    def __init__(self, id_: str, name: str, group: str) -> None:
        super().__init__()
        self._id, self._name, self._group = id_, name, group
        self._config: dict[str, Any] = {"bench_id": id_}
        self._run: Any = None

    @property
    def name(self) -> str:
        """Display name of the run."""
        return self._name

    @property
    def version(self) -> str:
        """Id of the run."""
        return self._id

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """The run of trackio."""
        if self._run is None:
            with redirect_stdout(io.StringIO()):
                self._run = trackio.init(
                    project=PROJECT, name=self._name, group=self._group, config=self._config, embed=False,
                    auto_log_gpu=False, auto_log_cpu=False,
                )  # fmt: skip
        return self._run

    @rank_zero_only
    def log_hyperparams(self, params: Mapping[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Add facts to the run's config, before its first number."""
        self._config |= dict(vars(params) if isinstance(params, Namespace) else params)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log numbers."""
        self.experiment.log(dict(metrics), step=step)

    def log_table(self, name: str, columns: list[str], rows: list[list[Any]]) -> None:
        """Log a table.

        Args:
            name: Its name.
            columns: Names of its columns.
            rows: Its rows.
        """
        self.experiment.log({name: trackio.Table(columns=columns, data=rows)})

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """End the run."""
        if self._run is None:
            return
        with redirect_stdout(io.StringIO()):
            _finish()
