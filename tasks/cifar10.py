"""CIFAR-10: 32 x 32 colour photographs of 10 classes; train images support, test images are asked."""

from pathlib import Path

from bench.contracts import Kind, Protocol, Task, TaskData
from bench.contracts.loading import Source, image_pool

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


class Cifar10(Task):
    """Ten-way classification of small photographs, the images as published."""

    kind = Kind.IMAGE_CLASSIFICATION
    prompts = ("A photo of a {label}.",)
    protocol = Protocol(n_episodes=600, n_query=20)
    citation = "Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009; licence not stated"
    source = Source("cifar10", "uoft-cs/cifar10", "0b2714987fa478483af9968de7c934580d0bb9a2")

    def load(self, data: Path | None) -> TaskData:
        """The published split: 50,000 support and 10,000 query images (arXiv 2605.04651)."""
        splits, revision = self.source.load(data)
        pools = {split: image_pool(f"cifar10 {split}", splits[split], "img", "label") for split in splits}
        return TaskData(pools["train"], pools["test"], CLASSES, revision)


PLUGIN = Cifar10
