"""A task with prompts of another form around the same items."""

from collections.abc import Sequence
from inspect import get_annotations
from pathlib import Path

from datasets import Dataset

from bench.contracts.kinds import Kind
from bench.contracts.task import Pool, Task, TaskData
from bench.toolkit.templates import TEXT, revision_mark, templates_of, text_within


class TemplatedTask(Task):
    """A task with prompts of another form; items, labels and everything else are the plain task's."""

    def __init__(self, plain: Task, template: str) -> None:
        """Wrap a task.

        Args:
            plain: A task of text or image classification or of text generation; of texts, with templates.
            template: The form, with the place of its kind in it.
        """
        self.plain, self.template = plain, template
        for name in get_annotations(Task).keys() - {"variants", "version"}:
            setattr(self, name, getattr(plain, name))
        if plain.kind is Kind.IMAGE_CLASSIFICATION:
            self.prompts = (template,)
        else:
            self.content_free, self.templates = tuple(self._changed(plain.content_free)), (template,)

    def load(self, data: Path | None) -> TaskData:
        """Load the plain task and put its texts into the template.

        Args:
            data: Folder of local copies; None for the task's own source.

        Returns:
            The data in the other form, of text tasks under a revision of their own.

        Raises:
            DataError: If a prompt of the plain task does not have the form of its first template.
        """
        loaded = self.plain.load(data)
        if self.kind is Kind.IMAGE_CLASSIFICATION:
            return loaded

        def changed(pool: Pool) -> Pool:
            return Pool(Dataset.from_dict({"input": self._changed(pool.inputs["input"])}), pool.labels, pool.targets)

        revision = f"{loaded.revision}{revision_mark(self.template)}"
        return TaskData(changed(loaded.support), changed(loaded.query), loaded.classes, revision, loaded.notes)

    def _changed(self, prompts: Sequence[str]) -> list[str]:
        first = templates_of(self.plain)[0]
        return [self.template.replace(TEXT, text_within(prompt, first)) for prompt in prompts]
