"""kNN prompting with the anchors of all support sets so far."""

from methods._continual_demonstrations import LastingDemonstrations
from methods.knn_prompting import KnnPrompting


class ContinualKnnPrompting(LastingDemonstrations, KnnPrompting):
    """Demonstrations are chosen anew, and anchors read after them; see LastingDemonstrations."""


PLUGIN = ContinualKnnPrompting
