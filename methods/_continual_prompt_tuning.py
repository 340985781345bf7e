"""Prompt tuning, trained on with further support sets."""

from methods._continual_training import TrainedOn
from methods.prompt_tuning import PromptTuning


class ContinualPromptTuning(TrainedOn, PromptTuning):
    """The virtual tokens of earlier support sets are trained on; see TrainedOn."""


PLUGIN = ContinualPromptTuning
