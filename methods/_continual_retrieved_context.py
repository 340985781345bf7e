"""Retrieved demonstrations of all support sets so far."""

from methods._continual_demonstrations import LastingDemonstrations
from methods.retrieved_context import RetrievedContext


class ContinualRetrievedContext(LastingDemonstrations, RetrievedContext):
    """Those most similar to a query, of whichever support set; see LastingDemonstrations."""


PLUGIN = ContinualRetrievedContext
