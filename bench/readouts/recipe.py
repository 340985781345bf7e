"""Hyper-parameters of a training of readouts."""

from dataclasses import dataclass

from bench.readouts.frozen import TrainingRecipe
from bench.toolkit.readout_forms import Halves, Keys, Values


@dataclass(frozen=True)
class Recipe(TrainingRecipe):
    """Hyper-parameters of a training; defaults are the published ones where a CPU can afford them.

    Attributes:
        memories: Number of middle memories.
        dropout: Dropout rate of a memory's answers.
        alpha: Exponent of the cut-off of the solve, as in FAAST.
        halves: What is predicted.
        stored: Windows of a group that memories learn, where others are predicted; ``batch`` then counts groups.
        predicted: Windows of a group that are predicted.
        keys: What keys are.
        values: What values are.
        output: Whether the output memory has a projection.
        rank: Largest rank of the projections; 0 for no limit.
    """

    memories: int = 2
    dropout: float = 0.1
    alpha: float = 1.0
    halves: Halves = "same"
    stored: int = 8
    predicted: int = 2
    keys: Keys = "state"
    values: Values = "following"
    output: bool = False
    rank: int = 0

    @property
    def group(self) -> int:
        """Consecutive windows of the corpus that belong together."""
        return 1 if self.halves == "same" else self.stored + self.predicted


def warmup_steps(steps: int) -> int:
    """Default number of warm-up steps: 500 as published, a tenth of the steps in trainings of fewer than 5,000.

    Args:
        steps: Number of optimizer steps.

    Returns:
        Number of warm-up steps.
    """
    return min(500, steps // 10)
