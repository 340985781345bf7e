"""Fails in the way its config names, to show what a run makes of it."""

import os
import signal
from typing import Literal

import torch

from bench.contracts import ForwardMethod, MethodConfig


class FaultyConfig(MethodConfig):
    fault: Literal["raise", "nan", "shape", "crash"] = "raise"


class Faulty(ForwardMethod):
    """A method with a defect."""

    Config = FaultyConfig
    source = "none"

    def observe(self, support):
        if self.config.fault == "raise":
            raise RuntimeError("planted defect")
        if self.config.fault == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)

    def predict(self, query):
        shape = (*query.mask.shape, query.classes.n_way)
        return torch.full(shape if self.config.fault == "nan" else shape[1:], float("nan"))


PLUGIN = Faulty
