"""MeZO: a language model tuned by forward passes alone, two losses a step along a random direction."""

from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from bench.contracts import Backbone, LanguageBackbone, ProblemShape, Support, Tune
from methods._adapters import AdapterConfig, AdapterMethod
from methods._peft_lm import PeftMethod


class MezoConfig(AdapterConfig):
    """Hyper-parameters of MeZO; with ``weights=all`` those of adapters are not used."""

    weights: Literal["adapters", "all"] = Field(
        default="adapters",
        description="What is tuned: adapters of the variant, or all weights of a copy of the model (published with "
        "lr=1e-7 and epsilon=1e-3 for 13 billion weights).",
    )
    steps: int = Field(default=500, ge=1, le=1_000_000, description="Steps, each of two losses of a batch.")
    lr: Annotated[float, Tune(1e-6, 1e-1, log=True)] = Field(
        default=1e-3, gt=0, le=1, description="Step size, the same at every step; published with LoRA: 5e-5."
    )
    epsilon: Annotated[float, Tune(1e-4, 1e-1, log=True)] = Field(
        default=1e-2, gt=0, le=1, description="Length of the two trials along a random direction, for each number."
    )

    @model_validator(mode="after")
    def _require_no_gradients(self) -> "MezoConfig":
        if self.variant == "adalora":
            raise ValueError("variant=adalora allocates its ranks by gradients, which MeZO has none of; use lora")
        return self


@torch.no_grad()
def shift(parameters: Iterable[Tensor], seed: int, size: float | Tensor) -> None:
    """Move parameters along the random direction of a seed, ``theta += size z`` with z from N(0, I).

    Numbers of z are drawn for one parameter at a time and never kept. They are drawn on the CPU, so that every device
    has the same.

    Args:
        parameters: Tensors that are changed in place.
        seed: Seed of the direction.
        size: Length along it, for each number.
    """
    generator = torch.Generator().manual_seed(seed)
    for parameter in parameters:
        parameter.add_(torch.randn(parameter.shape, generator=generator).to(parameter) * size)


@torch.no_grad()
def slope(parameters: Sequence[Tensor], seed: int, epsilon: float, loss: Callable[[], Tensor]) -> tuple[Tensor, Tensor]:
    """Central difference of a loss along a random direction; ``g z`` is the gradient on average.

    Args:
        parameters: Tensors that the loss depends on; afterwards as before, up to rounding.
        seed: Seed of the direction z.
        epsilon: Length of the trials.
        loss: The loss, evaluated twice.

    Returns:
        The mean of both losses, and ``g = (L(theta + epsilon z) - L(theta - epsilon z)) / (2 epsilon)``.
    """
    shift(parameters, seed, epsilon)
    above = loss()
    shift(parameters, seed, -2 * epsilon)
    below = loss()
    shift(parameters, seed, epsilon)
    return (above + below) / 2, (above - below) / (2 * epsilon)


class ZerothOrderSGD(Optimizer):
    """Steps ``theta -= lr g z`` along the direction of the last loss, which is drawn once more from its seed."""

    def __init__(self, parameters: Iterable[nn.Parameter], lr: float, last: Callable[[], tuple[int, Tensor]]) -> None:
        super().__init__(parameters, {"lr": lr})
        self._last = last

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Evaluate the loss, if there is a closure, and step; gradients are not read."""
        with torch.enable_grad():
            loss = None if closure is None else closure()
        seed, found = self._last()
        for group in self.param_groups:
            shift(group["params"], seed, -group["lr"] * found)
        return loss


class Mezo(AdapterMethod):
    """Descent by ``theta -= lr g z``, where g is the slope of the loss along a random direction z.

    A step takes two forward passes and no backward pass, so that it needs the memory of scoring; z is drawn anew from a
    seed where it is needed. The variance of ``g z`` grows with the number of weights: the authors' program takes 20,000
    steps of 16 examples, and the default of 500 larger steps of 8 is what a CPU affords. Batches and losses are
    LMFineTune's, adapters those of ``peft``, LoRA by default. ``spsa_probe`` is the same search on a linear probe.
    """

    Config: ClassVar[type[MezoConfig]] = MezoConfig
    config: MezoConfig
    source = "Malladi et al. 2023, Fine-Tuning Language Models with Just Forward Passes, arXiv 2305.17333"

    def __init__(self, config: MezoConfig, backbone: Backbone, shape: ProblemShape) -> None:
        super().__init__(config, backbone, shape)
        self._slope = torch.zeros(())
        self._read: list[tuple[Tensor, int]] = []

    def adapt(self, backbone: Backbone) -> Backbone:
        """A copy of the backbone with adapters in it, or with weights of its own."""
        return super().adapt(backbone) if self.config.weights == "adapters" else PeftMethod.adapt(self, backbone)

    def insert(self, adapted: LanguageBackbone) -> None:
        """Put adapters into a copied model, or make all of its weights its own."""
        if self.config.weights == "adapters":
            super().insert(adapted)
            return
        network: Any = adapted.causal_lm
        own: dict[int, nn.Parameter] = {}
        for module in network.modules():
            for name, weights in list(module.named_parameters(recurse=False)):
                # Tied weights stay tied.
                own.setdefault(id(weights), nn.Parameter(weights.detach().clone()))
                setattr(module, name, own[id(weights)])
        self.notes["adapted"] = "all weights"

    def loss(self, support: Support) -> Tensor:
        """The mean of both losses of a step, with a graph of one parameter alone."""
        step, trained, self._read = self._step, self.trained(), []

        def batch_loss() -> Tensor:
            self._step = step  # the same windows and dropped inputs in both
            return super(Mezo, self).loss(support)

        mean, self._slope = slope(trained, self._seed(step + 1), self.config.epsilon, batch_loss)
        # A trainer wants something to differentiate, and its gradient scaler a gradient, if only of zeros.
        return mean + 0.0 * min(trained, key=Tensor.numel).sum()

    def _completed(self, support: Support) -> list[tuple[Tensor, int]]:
        """Examples of a batch, looked up once for both losses: each time the program waits for labels."""
        self._read = self._read or super()._completed(support)
        return self._read

    def optimizer(self) -> tuple[Optimizer, LRScheduler | None]:
        """Plain steps of one size, along the directions that losses were taken in."""
        self.in_float32()
        trained: Any = self.trained()
        return ZerothOrderSGD(trained, self.config.lr, lambda: (self._seed(self._step), self._slope)), None

    def _seed(self, step: int) -> int:
        """Seed of a step's direction; numbers drawn for windows have seeds of their own."""
        return (self.shape.seed + 1_000_003 * step) % 2**63


PLUGIN = Mezo
