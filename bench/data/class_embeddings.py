"""Class embeddings of a task on a backbone, what they stand for, and runs that they are missing for."""

from dataclasses import dataclass

import torch
from torch import Tensor

from bench import registry
from bench.contracts import (
    CLASSIFICATION,
    Backbone,
    EmbeddingUse,
    InputMode,
    LanguageBackbone,
    NoClassEmbeddingsError,
    Task,
    TaskData,
    UsageError,
)
from bench.spec.resolve import ResolvedRun


@dataclass(frozen=True)
class ClassEmbeddings:
    """Class embeddings of a task.

    Attributes:
        values: ``[class, dim_v]``, of width 0 where there are none.
        note: What they stand for where they are not those of whole names.
        missing: Why there are none; None if there are, or if the task needs none.
        readable: Whether the backbone reads the task's prompts; if not, no method on features can run.
    """

    values: Tensor
    note: str | None = None
    missing: str | None = None
    readable: bool = True

    def refusal(self, run: ResolvedRun) -> str | None:
        """Reason for skipping a run.

        Args:
            run: The run.

        Returns:
            The reason, with the methods that do without; None for a run that does not need what is missing.
        """
        if run.input_mode is InputMode.FEATURES and not self.readable:
            return self.missing
        if self.missing is None or self._use(run) is not EmbeddingUse.REQUIRED:
            return None
        return f"{self.missing}; {_without(run)} need no embedding of an answer"

    def of_run(self, run: ResolvedRun) -> Tensor:
        """Class embeddings for a run.

        Args:
            run: A run that is not refused.

        Returns:
            ``[class, dim_v]``; of width 0 for a method that can do without, where they stand for something else than
            whole names.
        """
        return self.values[:, :0] if self._left_out(run) else self.values

    def notes_of(self, run: ResolvedRun) -> dict[str, str]:
        """What the record of a run says about class embeddings; nothing where they are as usual or unused.

        Args:
            run: A run that is not refused.

        Returns:
            The note under its name.
        """
        if self._left_out(run):
            return {"class_embeddings": "none, and no zero-shot prior: answers of several or no tokens"}
        if self.note is None or self._use(run) is EmbeddingUse.UNUSED:
            return {}
        return {"class_embeddings": self.note}

    def _left_out(self, run: ResolvedRun) -> bool:
        as_usual = self.note is None and self.missing is None
        return not as_usual and self._use(run) is EmbeddingUse.OPTIONAL

    @staticmethod
    def _use(run: ResolvedRun) -> EmbeddingUse:
        if run.input_mode is not InputMode.FEATURES:
            return EmbeddingUse.UNUSED
        return run.method.embedding_use(run.config)


def class_embeddings(data: TaskData, task: Task, backbone: Backbone) -> ClassEmbeddings:
    """Class embeddings of a task.

    Args:
        data: The task's data, with the class names.
        task: The task, with its prompts.
        backbone: The frozen backbone.

    Returns:
        The embeddings, or the reason why a language model has none for its answers.

    Raises:
        UsageError: If a backbone other than a language model cannot embed the classes.
    """
    none = torch.zeros(len(data.classes), 0)
    # Tasks other than classification have one dummy class without a meaning.
    if task.kind not in CLASSIFICATION:
        return ClassEmbeddings(none)
    try:
        values = backbone.class_embeddings(data.classes, task.prompts).float().cpu()
    except NoClassEmbeddingsError as error:
        return ClassEmbeddings(none, missing=str(error))
    except UsageError as error:
        if isinstance(backbone, LanguageBackbone):
            return ClassEmbeddings(none, missing=str(error), readable=False)
        raise
    return ClassEmbeddings(values, backbone.class_embeddings_note(data.classes, task.prompts))


def _without(run: ResolvedRun) -> str:
    """Methods that serve the task of a run and need no class embeddings with their default configs."""
    kind, backbone = run.task.kind, registry.backbone_class(run.spec.backbone)
    found = []
    for name in registry.find("methods"):
        method = registry.resolve_method(name, kind, {}).method
        reads_inputs = method.input_mode_for(kind, backbone) is InputMode.INPUTS
        if kind in method.kinds and (
            reads_inputs or method.embedding_use(method.Config()) is not EmbeddingUse.REQUIRED
        ):
            found.append(name)
    return ", ".join(found)
