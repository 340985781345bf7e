"""TaskRes, trained on with further support sets."""

from methods._continual_class_vectors import ContinualClassVectors
from methods.taskres import TaskRes


class ContinualTaskRes(ContinualClassVectors, TaskRes):
    """The residual is trained on; see ContinualClassVectors."""


PLUGIN = ContinualTaskRes
