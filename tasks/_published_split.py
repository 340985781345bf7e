"""Photographs with a published split: train images as support, test images as queries."""

from pathlib import Path
from typing import ClassVar

from bench.contracts import Kind, Protocol, Task, TaskData
from bench.toolkit.images import image_pool
from bench.toolkit.sources import Source


class PublishedSplit(Task):
    """Classification of photographs with a published split; a subclass defines the data and its classes.

    Attributes:
        source: The published data.
        columns: Columns of the images and of the labels.
        classes: Class names, in the order of the labels.
    """

    kind = Kind.IMAGE_CLASSIFICATION
    prompts = ("A photo of a {label}.",)
    protocol = Protocol(episodes=600, queries=20)
    source: ClassVar[Source]
    columns: ClassVar[tuple[str, str]]
    classes: ClassVar[tuple[str, ...]]

    def load(self, data: Path | None) -> TaskData:
        """Read the published split, as in the paper (arXiv 2605.04651).

        Args:
            data: Folder of local copies; None for the hub.

        Returns:
            Train images as support and test images as queries.
        """
        splits, revision = self.source.load(data)
        name = self.source.folder
        pools = {split: image_pool(f"{name} {split}", splits[split], *self.columns) for split in ("train", "test")}
        return TaskData(pools["train"], pools["test"], self.classes, revision)
