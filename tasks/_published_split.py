"""Photographs whose publisher split them: train images support, test images are asked."""

from pathlib import Path
from typing import ClassVar

from bench.contracts import Kind, Protocol, Task, TaskData
from bench.toolkit.images import image_pool
from bench.toolkit.sources import Source


class PublishedSplit(Task):
    """Classification of photographs as published; a subclass names the data and its classes."""

    kind = Kind.IMAGE_CLASSIFICATION
    prompts = ("A photo of a {label}.",)
    protocol = Protocol(episodes=600, queries=20)
    source: ClassVar[Source]
    columns: ClassVar[tuple[str, str]]
    """Where the images are and where the labels."""
    classes: ClassVar[tuple[str, ...]]

    def load(self, data: Path | None) -> TaskData:
        """The published split as the paper uses it (arXiv 2605.04651)."""
        splits, revision = self.source.load(data)
        name = self.source.folder
        pools = {split: image_pool(f"{name} {split}", splits[split], *self.columns) for split in ("train", "test")}
        return TaskData(pools["train"], pools["test"], self.classes, revision)
