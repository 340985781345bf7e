"""Class embeddings of a task on a backbone."""

import torch
from torch import Tensor

from bench.contracts import CLASSIFICATION, Backbone, LanguageBackbone, Task, TaskData, UsageError


def class_embeddings(data: TaskData, task: Task, backbone: Backbone) -> tuple[Tensor, str | None]:
    """Class embeddings of a task, or the reason why a language model has none for its answers.

    An answer of several tokens has no embedding; only methods that score its log-probability serve such a task.

    Args:
        data: The task's data, with the class names.
        task: The task, with its prompts.
        backbone: The frozen backbone.

    Returns:
        ``[class, dim_v]``, of width 0 without class embeddings, and the reason; None if there are embeddings or the
        task needs none.

    Raises:
        UsageError: If a backbone other than a language model cannot embed the classes.
    """
    none = torch.zeros(len(data.classes), 0)
    # Tasks other than classification have one dummy class without a meaning.
    if task.kind not in CLASSIFICATION:
        return none, None
    try:
        return backbone.class_embeddings(data.classes, task.prompts).float(), None
    except UsageError as error:
        if isinstance(backbone, LanguageBackbone):
            return none, str(error)
        raise
