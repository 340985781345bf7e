"""TaskRes: a trained residual added to the class embeddings."""

from typing import Annotated

from pydantic import Field
from torch.optim import Adam, Optimizer

from bench.contracts import Backbone, ProblemShape, Tune
from methods._class_vectors import ClassVectors, ClassVectorsConfig


class TaskResConfig(ClassVectorsConfig):
    """Hyper-parameters of TaskRes; the defaults are published."""

    alpha: Annotated[float, Tune(0.1, 2.0)] = Field(
        default=0.5, gt=0, le=100, description="What the residual is multiplied by; 1 is published for flowers."
    )
    epochs: int | None = Field(
        default=None,
        ge=1,
        le=100_000,
        description="Passes over the support set; by default 100, from 8 shots on 200, as published.",
    )
    lr: Annotated[float, Tune(1e-4, 1e-1, log=True)] = Field(
        default=2e-3, gt=0, le=10, description="Adam's rate; it falls to 0 along a cosine."
    )
    weight_decay: float = Field(default=5e-4, ge=0, le=10, description="Adam's L2 penalty on the residual.")


class TaskRes(ClassVectors):
    """Class vectors ``t_c + alpha x_c`` with a trained x that starts at 0; see ClassVectors.

    Nothing is searched. The published penalty is the default of the library that its program is built on.
    """

    Config = TaskResConfig
    config: TaskResConfig
    source = "Yu et al. 2023, Task Residual for Tuning Vision-Language Models, arXiv 2211.10277"

    def __init__(self, config: TaskResConfig, backbone: Backbone, shape: ProblemShape) -> None:
        super().__init__(config, backbone, shape)
        self.share = config.alpha

    def n_epochs(self) -> int:
        """Passes over the support set."""
        few = self.shape.n_support < 8 * self.shape.n_way
        return self.config.epochs or (100 if few else 200)

    def make_optimizer(self) -> Optimizer:
        """Adam."""
        return Adam([self.trained], lr=self.config.lr, weight_decay=self.config.weight_decay)


PLUGIN = TaskRes
