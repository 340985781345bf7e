"""Class embeddings of a task on a backbone."""

import torch
from torch import Tensor

from bench import registry
from bench.contracts import (
    CLASSIFICATION,
    Backbone,
    LanguageBackbone,
    TaskData,
    UsageError,
)


def class_embeddings(data: TaskData, name: str, backbone: Backbone) -> tuple[Tensor, str | None]:
    """``[class, dim_v]``, of width 0 where there are none, and why a language model has none for these answers.

    An answer may be several tokens, which no feature stands for; it is then scored by its log-probability alone.
    """
    task = registry.task_class(name)
    none = torch.zeros(len(data.classes), 0)
    # Where there is nothing to choose from, a class stands for all items and means nothing.
    if task.kind not in CLASSIFICATION:
        return none, None
    try:
        return backbone.class_embeddings(data.classes, task.prompts).float(), None
    except UsageError as error:
        if isinstance(backbone, LanguageBackbone):
            return none, str(error)
        raise
