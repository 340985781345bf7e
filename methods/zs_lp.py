"""ZS-LP: a linear probe that starts at the class embeddings, without anything to search."""

from methods._class_vectors import Probe


class ZsLp(Probe):
    """Class vectors trained by cross-entropy alone, from the class embeddings; see ClassVectors.

    The authors' point is that many methods fall below this probe unless they are searched anew for each task on a
    validation set, so that nothing is searched here either.
    """


PLUGIN = ZsLp
