"""CIFAR-100: 32 x 32 colour photographs of 100 classes; train images as support, test images as queries."""

from bench.toolkit.sources import Source
from tasks._published_split import PublishedSplit

# Alphabetical, which is the order of the fine labels.
CLASSES = """
apple, aquarium fish, baby, bear, beaver, bed, bee, beetle, bicycle, bottle, bowl, boy, bridge, bus,
butterfly, camel, can, castle, caterpillar, cattle, chair, chimpanzee, clock, cloud, cockroach, couch, crab,
crocodile, cup, dinosaur, dolphin, elephant, flatfish, forest, fox, girl, hamster, house, kangaroo, keyboard,
lamp, lawn mower, leopard, lion, lizard, lobster, man, maple tree, motorcycle, mountain, mouse, mushroom, oak
tree, orange, orchid, otter, palm tree, pear, pickup truck, pine tree, plain, plate, poppy, porcupine, possum,
rabbit, raccoon, ray, road, rocket, rose, sea, seal, shark, shrew, skunk, skyscraper, snail, snake, spider,
squirrel, streetcar, sunflower, sweet pepper, table, tank, telephone, television, tiger, tractor, train,
trout, tulip, turtle, wardrobe, whale, willow tree, wolf, woman, worm
"""


class Cifar100(PublishedSplit):
    """Hundred-way classification of small photographs: 50,000 support and 10,000 query images."""

    size = "50,000 support and 10,000 query images of 100 classes"
    citation = "Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009; licence not stated"
    source = Source("cifar100", "uoft-cs/cifar100", "aadb3af77e9048adbea6b47c21a81e47dd092ae5")
    columns = ("img", "fine_label")
    classes = tuple(" ".join(name.split()) for name in CLASSES.split(","))


PLUGIN = Cifar100
