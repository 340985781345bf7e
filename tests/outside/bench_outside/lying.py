"""Tries to look cheaper than it is, in the way its config names, to show where the cost comes out."""

import time
from typing import Literal

import numpy as np
from pydantic import Field

from bench.contracts import ForwardMethod, MethodConfig


class LyingConfig(MethodConfig):
    lie: Literal["none", "make", "defer", "free", "remember", "items", "weights"] = Field(
        "none",
        description="make: work before the first example; defer: work in predict; free: give memory back; "
        "remember: work once for each support set; items: work once for each item; weights: read all frozen weights.",
    )
    seconds: float = Field(0.0, ge=0, description="What the work takes.")
    megabytes: int = Field(0, ge=0, description="What the work needs.")


REMEMBERED = set()
"""Support sets and items that were worked on in this process."""


class Lying(ForwardMethod):
    """A method that answers with the prior, after some work in one place or another."""

    Config = LyingConfig
    source = "none"

    def __init__(self, config, backbone, shape):
        super().__init__(config, backbone, shape)
        self.kept = None
        self.done = False
        if config.lie == "make":
            self.work()

    def work(self):
        held = np.ones(self.config.megabytes * 2**20, dtype=np.uint8)
        time.sleep(self.config.seconds)
        self.done = True
        if self.config.lie != "free":
            self.kept = held

    def observe(self, support):
        self.support = support.keys.numpy().tobytes()
        self.items = {key.tobytes() for key in support.keys[0].numpy()}

    def solve(self):
        if self.config.lie == "weights":
            self.done = bool(sum(float(weight.sum()) for weight in self.backbone.parameters()) + 1)
        elif self.config.lie == "remember" and self.support in REMEMBERED:
            self.done = True
        elif self.config.lie == "items":
            time.sleep(self.config.seconds * len(self.items - REMEMBERED) / len(self.items))
            self.done = True
            REMEMBERED.update(self.items)
        elif self.config.lie not in ("defer", "make"):
            self.work()
            REMEMBERED.add(self.support)

    def predict(self, query):
        if not self.done:
            self.work()
        return self.backbone.class_logits(query.prior, query.classes)


PLUGIN = Lying
