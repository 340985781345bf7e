"""Hebbian fast weights inside a language model: earlier support sets decay by the tokens of later ones."""

from bench.contracts import Memory
from methods._continual_hebbian import LastingHebbian
from methods._continual_inside import LastingInside
from methods._hebbian_memory import CosineHebbian
from methods.hebbian import HebbianOnHiddenStates


class LastingCosineHebbian(LastingHebbian, CosineHebbian):
    """A Hebbian memory of keys of unit length, with a sum that stays after ``solve``."""


class ContinualHebbianInside(LastingInside, HebbianOnHiddenStates):
    """One sum over all support sets in order; within one, texts come as they do alone."""

    def make_memory(self, width: int) -> Memory:
        """Empty fast weights."""
        return LastingCosineHebbian(1, width, width, self.config.decay, self.config.length)


PLUGIN = ContinualHebbianInside
