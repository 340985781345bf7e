"""Nearest class mean, spoilt by noise that grows with the distance of two hyper-parameters from where they belong."""

import time
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch.nn.functional import normalize

from bench.contracts import ForwardMethod, MethodConfig, Tune

BEST = {"x": 3.0, "y": 40}


class PlantedConfig(MethodConfig):
    """x and y belong at BEST."""

    x: Annotated[float, Tune(-10, 10)] = Field(default=-8.0, description="Belongs at 3.")
    y: Annotated[int, Tune(log=True)] = Field(default=1, ge=1, le=1000, description="Belongs at 40.")
    mode: Annotated[Literal["right", "wrong"], Tune()] = Field(default="right", description="Which sign scores have.")
    fail_above: float = Field(default=1e9, description="Values of x that are a defect.")
    seconds: float = Field(default=0.0, description="How long it takes.")


class Planted(ForwardMethod):
    """Scores are cosines with class means, and noise."""

    Config = PlantedConfig
    source = "made by this test"

    def __init__(self, config, backbone, shape):
        super().__init__(config, backbone, shape)
        self.register_buffer("sums", torch.zeros(shape.n_episodes, shape.n_way, shape.key_dim))

    def observe(self, support):
        if self.config.x > self.config.fail_above:
            raise RuntimeError(f"x is {self.config.x}")
        time.sleep(self.config.seconds)
        keys = support.keys * support.mask.unsqueeze(-1)
        self.sums.scatter_add_(1, support.labels.unsqueeze(-1).expand_as(keys), keys)

    def predict(self, query):
        config = self.config
        distance = abs(config.x - BEST["x"]) / 10 + abs(torch.tensor(config.y / BEST["y"]).log10().item())
        scores = 40 * query.keys @ normalize(self.sums, dim=-1).mT
        noise = torch.randn(scores.shape, generator=torch.Generator().manual_seed(0))
        return (scores if config.mode == "right" else -scores) + 10 * distance * noise


PLUGIN = Planted
