"""Tuning: the search that found the config of a run, a part of the run's identity and costs."""

from pydantic import BaseModel, ConfigDict


class Tuning(BaseModel):
    """A search for hyper-parameters on support data.

    Attributes:
        trials: Ended trials, failed and pruned ones included.
        seconds: Seconds of all trials together.
        sampler: Name of the sampler.
        objective: Name of the first objective.
        validation: Name of the validation protocol.
        score: Best validation score, in the unit of ``objective``.
        study: Name of the study.
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
        """The fields that are part of a run's identity: all but the time and the score."""
        return self.model_dump(exclude={"seconds", "score"})
