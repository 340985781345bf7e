"""ZS-LP, trained on with further support sets."""

from methods._continual_class_vectors import ContinualClassVectors
from methods.zs_lp import ZsLp


class ContinualZsLp(ContinualClassVectors, ZsLp):
    """The probe goes on from its class vectors; see ContinualClassVectors."""


PLUGIN = ContinualZsLp
