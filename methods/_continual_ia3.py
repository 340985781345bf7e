"""(IA)3, trained on with further support sets."""

from methods._continual_training import TrainedOn
from methods.ia3 import IA3


class ContinualIA3(TrainedOn, IA3):
    """The scales of earlier support sets are trained on; see TrainedOn."""


PLUGIN = ContinualIA3
