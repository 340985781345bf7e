"""mini-ImageNet with WordNet ids for class names, which mean nothing to a model."""

from tasks.mini_imagenet import CLASSES, MiniImageNet


class MiniImageNetIds(MiniImageNet):
    """The images and halves of mini_imagenet; what is learnt of a class comes from its examples alone."""

    prior_strength = 0.0
    classes = tuple(CLASSES)


PLUGIN = MiniImageNetIds
