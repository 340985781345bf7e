"""Names of tasks, methods and numbers of shots, as callers give them to reports."""

from pydantic import BaseModel, ConfigDict

from bench.spec.list_fields import Names, ShotsList


class Selection(BaseModel):
    """Tasks, numbers of shots and methods that are named; none means all of them where they are a filter.

    Attributes:
        task: Names of tasks.
        shots: Numbers of shots.
        method: Names of methods.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: Names = []
    shots: ShotsList = []
    method: Names = []
