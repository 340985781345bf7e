"""MeZO, gone on with further support sets."""

from methods._continual_training import TrainedOn
from methods.mezo import Mezo


class ContinualMezo(TrainedOn, Mezo):
    """The weights that earlier support sets have left are searched on from, along new directions; see TrainedOn."""


PLUGIN = ContinualMezo
