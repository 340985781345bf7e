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
from bench.contracts.sequence_task import SequenceData, SequenceTask
from bench.spec.resolve import ResolvedRun

NO_PRIOR = "no prior (the backbone has no text encoder)"
"""What the record of a run says beside what stands for class embeddings."""


@dataclass(frozen=True)
class ClassEmbeddings:
    """Class embeddings of a task.

    Attributes:
        values: ``[class, dim_v]``, of width 0 where there are none.
        note: What they stand for where they are not those of whole names.
        missing: Why there are none; None if there are, or if the task needs none.
        readable: Whether the backbone reads the task's prompts; if not, no method on features can run.
        has_prior: See ``Backbone.has_prior``.
    """

    values: Tensor
    note: str | None = None
    missing: str | None = None
    readable: bool = True
    has_prior: bool = True

    def refusal(self, run: ResolvedRun) -> str | None:
        """Reason for skipping a run.

        Args:
            run: The run.

        Returns:
            The reason, with the methods that do without; None for a run that does not need what is missing.
        """
        if run.input_mode is InputMode.FEATURES and not self.readable:
            return self.missing
        if self.missing is None or self._use(run) not in _needed(self.has_prior):
            return None
        return f"{self.missing}; {_without(run, self.has_prior)} need no class embeddings"

    def of_run(self, run: ResolvedRun) -> Tensor | None:
        """Class embeddings for a run.

        Args:
            run: A run that is not refused.

        Returns:
            ``[class, dim_v]``; of width 0 for a method that can do without, where they stand for something else than
            whole names; None for one that takes one-hot labels instead, where the backbone has no text encoder.
        """
        if self._labels_instead(run):
            return None
        return self.values[:, :0] if self._left_out(run) else self.values

    def notes_of(self, run: ResolvedRun) -> dict[str, str]:
        """What the record of a run says about class embeddings; nothing where they are as usual or unused.

        Args:
            run: A run that is not refused.

        Returns:
            The note under its name.
        """
        if self._labels_instead(run):
            return {"class_embeddings": f"one-hot labels, {NO_PRIOR}"}
        if self._left_out(run) and not self.has_prior:
            return {"class_embeddings": f"none, {NO_PRIOR}"}
        if self._left_out(run):
            return {"class_embeddings": "none, and no zero-shot prior: answers of several or no tokens"}
        if self.note is None or self._use(run) is EmbeddingUse.UNUSED:
            return {}
        return {"class_embeddings": self.note}

    def _left_out(self, run: ResolvedRun) -> bool:
        as_usual = self.note is None and self.missing is None
        return not as_usual and self._use(run) is EmbeddingUse.OPTIONAL

    def _labels_instead(self, run: ResolvedRun) -> bool:
        return not self.has_prior and self._use(run) is EmbeddingUse.LABELS_INSTEAD

    def _use(self, run: ResolvedRun) -> EmbeddingUse:
        # A language model scores answers itself; an adapted image encoder compares features with class embeddings.
        if run.input_mode is not InputMode.FEATURES and self.has_prior:
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
        values = _embedded(data, task, backbone).float().cpu()
    except NoClassEmbeddingsError as error:
        return ClassEmbeddings(none, missing=str(error), has_prior=backbone.has_prior)
    except UsageError as error:
        if isinstance(backbone, LanguageBackbone):
            return ClassEmbeddings(none, missing=str(error), readable=False)
        raise
    return ClassEmbeddings(values, backbone.class_embeddings_note(data.classes, task.prompts))


def _embedded(data: TaskData, task: Task, backbone: Backbone) -> Tensor:
    """``[class, dim_v]``; of a sequence each class by the prompts of the task that has it first."""
    if not (isinstance(data, SequenceData) and isinstance(task, SequenceTask)):
        return backbone.class_embeddings(data.classes, task.prompts)
    rows: dict[str, Tensor] = {}
    for part, own in zip(data.parts, task.tasks, strict=True):
        names = part.data.classes
        for name, row in zip(names, backbone.class_embeddings(names, own.prompts), strict=True):
            rows.setdefault(name, row)
    return torch.stack([rows[name] for name in data.classes])


def _needed(has_prior: bool) -> frozenset[EmbeddingUse]:
    """Uses that a run is skipped for where there are no class embeddings."""
    required = frozenset({EmbeddingUse.REQUIRED})
    # Labels have no place beside the prior of a language model, which lacks embeddings for these answers alone.
    return required | {EmbeddingUse.LABELS_INSTEAD} if has_prior else required


def _without(run: ResolvedRun, has_prior: bool) -> str:
    """Methods that serve the task of a run and need no class embeddings with their default configs."""
    kind, backbone = run.task.kind, registry.backbone_class(run.spec.backbone)
    found = []
    for name in registry.find("methods"):
        method = registry.resolve_method(name, kind, {}).method
        reads_inputs = method.input_mode_for(kind, backbone) is InputMode.INPUTS
        if kind in method.kinds and (
            (reads_inputs and has_prior) or method.embedding_use(method.Config()) not in _needed(has_prior)
        ):
            found.append(name)
    return ", ".join(found)
