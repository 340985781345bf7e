"""Stripes, scored by how sure a method is of the right answer."""

from bench_outside.stripes import Stripes


class SureStripes(Stripes):
    """The same images under another metric."""

    metric = "brier"


PLUGIN = SureStripes
