"""How the config of a run was found; a part of what the run is, and of what it cost."""

from pydantic import BaseModel, ConfigDict


class Tuning(BaseModel):
    """A search for hyper-parameters on support data.

    trials: those that ended, failed and pruned ones included. seconds: of all of them together. score: the best
    validation score, in the unit of ``objective``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    trials: int
    seconds: float
    sampler: str
    objective: str
    validation: str
    score: float
    study: str

    def identity(self) -> dict[str, object]:
        """What makes a run another run: not how long a search happened to take."""
        return self.model_dump(exclude={"seconds", "score"})
