"""Softmax attention inside a language model, over every pair of hidden states of the support text."""

from typing import Annotated

from pydantic import Field
from torch import Tensor
from torch.nn.functional import normalize

from bench.contracts import Memory, Tune
from methods._inside import HiddenStateConfig, HiddenStateMemory
from methods._reservoir import Reservoir
from methods.softmax_memory import SoftmaxPairs


class SoftmaxLmConfig(HiddenStateConfig):
    """Hyper-parameters of softmax memory inside a language model."""

    scale: Annotated[float, Tune(1.0, 1e3, log=True)] = Field(
        default=100.0,
        gt=0,
        le=1e4,
        description="What cosine similarities are multiplied by; CLIP's 100, as FAAST's baseline has it for images.",
    )


class CosinePairs(SoftmaxPairs):
    """Softmax memory of one episode that compares by cosine and leaves padding out of its store."""

    def observe(self, keys: Tensor, values: Tensor, mask: Tensor, labels: Tensor | None = None) -> None:
        """Keep the real pairs, their keys at unit length; tokens have no classes."""
        super().observe(normalize(keys[mask], dim=-1)[None], values[mask][None], mask[mask][None])

    def answer(self, keys: Tensor) -> Tensor:
        """``[1, item, dim_v]``: the mean of the stored values, weighted by ``softmax(scale * cosine)``."""
        return super().answer(normalize(keys, dim=-1))


class SoftmaxMemoryLm(HiddenStateMemory):
    """Softmax memory for every place; see HiddenStateMemory for what it learns and where it stands.

    It stores a key and a value per token of support text, and reads all of them at each token of a query.
    """

    Config = SoftmaxLmConfig
    config: SoftmaxLmConfig
    source = (
        "Vaswani et al. 2017, Attention Is All You Need, arXiv 1706.03762, as in FAAST, arXiv 2605.04651 (baseline)"
    )

    def make_memory(self, width: int) -> Memory:
        """An empty store that attends with the configured scale."""
        reservoir = Reservoir.of(self.shape, self.readout_bytes(), len(self._places))
        return CosinePairs(1, width, width, self.config.scale, reservoir)


PLUGIN = SoftmaxMemoryLm
