"""Resolved runs: names looked up, configs validated, episodes drawn."""

from dataclasses import dataclass
from typing import Any

from bench import registry
from bench.contracts import InputMode, Method
from bench.data.episodes import Episodes
from bench.results.record import Record, run_id
from bench.spec.suite import RunSpec


@dataclass(frozen=True)
class Job:
    """A run that is not recorded yet."""

    spec: RunSpec
    identity: dict[str, Any]
    episodes: Episodes
    method: type[Method]

    @property
    def reads(self) -> InputMode:
        """What the method needs of this task's items."""
        return self.method.input_mode_for(registry.task_class(self.spec.task).kind)

    @property
    def id(self) -> str:
        """Names the record."""
        return run_id(self.identity)

    def record(self, **result: Any) -> Record:
        """A record of this run."""
        return Record(id=self.id, spec=self.spec, identity=self.identity, **result)
