"""CIFAR-10: 32 x 32 colour photographs of 10 classes; train images as support, test images as queries."""

from bench.toolkit.sources import Source
from tasks._published_split import PublishedSplit


class Cifar10(PublishedSplit):
    """Ten-way classification of small photographs: 50,000 support and 10,000 query images."""

    size = "50,000 support and 10,000 query images of 10 classes"
    citation = "Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009; licence not stated"
    source = Source("cifar10", "uoft-cs/cifar10", "0b2714987fa478483af9968de7c934580d0bb9a2")
    columns = ("img", "label")
    classes = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


PLUGIN = Cifar10
