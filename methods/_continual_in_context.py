"""In-context learning from the demonstrations of all support sets so far."""

from methods._continual_demonstrations import LastingDemonstrations
from methods.in_context import InContext


class ContinualInContext(LastingDemonstrations, InContext):
    """All of them stand before each query, as far as they fit; see LastingDemonstrations."""


PLUGIN = ContinualInContext
