"""FAAST: all pairs compiled in closed form into one matrix of fast weights."""

from typing import Annotated, Literal

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from bench.contracts import Memory, MultiSiteMethod, Tune
from bench.toolkit.hidden_states import HiddenStateConfig, HiddenStateMethod
from methods._faast_features import FaastOnFeatures
from methods._fast_weights import ChunkedFastWeights
from methods._token_weights import TokenWeights

StreamingSolver = Literal["exact", "published"]


class FaastOnHiddenStatesConfig(HiddenStateConfig):
    """Hyper-parameters of FAAST on hidden states; defaults are published."""

    alpha: Annotated[float, Tune(0.4, 1.6)] = Field(
        default=1.0,
        ge=0,
        le=4,
        description="Drops directions whose singular value is below N ** -alpha of the largest; N counts tokens. "
        "Published: 0.8 for perplexity, 0.5 to 1.2 by task and model.",
    )
    solver: StreamingSolver = Field(
        default="exact",
        description="exact: one joint solve in float64. published: averages of solutions of chunks, in float32.",
    )
    max_memory: int = Field(default=65_536, ge=1, description="Pairs kept before a chunk is solved (published solver).")
    update_size: int = Field(default=8_192, ge=1, description="Pairs in a chunk (published solver).")
    rank: int | None = Field(
        default=None,
        ge=1,
        description="Largest rank of each memory's W, by singular values (exact solver); its state is two factors.",
    )

    @model_validator(mode="after")
    def _rank_of_exact(self) -> "FaastOnHiddenStatesConfig":
        if self.rank is not None and self.solver != "exact":
            raise PydanticCustomError("rank", "rank needs solver=exact, leave out one of them")
        return self


class FaastOnHiddenStates(HiddenStateMethod):
    """Fast weights before some blocks and before the final norm; see HiddenStateMethod for keys and values."""

    Config = FaastOnHiddenStatesConfig
    config: FaastOnHiddenStatesConfig
    source = "Bao et al., FAAST: Forward-Only Associative Learning via Closed-Form Fast Weights, arXiv 2605.04651"

    def make_memory(self, width: int) -> Memory:
        """Fast weights, which sum over pairs and keep none, or the published ones."""
        config = self.config
        if config.solver == "published":
            return ChunkedFastWeights(
                width, width, alpha=config.alpha, max_memory=config.max_memory, update_size=config.update_size
            )
        return TokenWeights(width, alpha=config.alpha, rank=config.rank)

    def solve(self) -> None:
        """Finish every memory; ``notes`` get the share of its values that each one explains, the output memory last."""
        super().solve()
        shares = [memory.explained for memory in self.memories if isinstance(memory, TokenWeights)]
        if shares:
            self.notes["explained_energy"] = [None if share is None else round(share, 4) for share in shares]


class Faast(MultiSiteMethod):
    """Forward-only associative learning: one closed-form solve, and queries at a cost independent of N."""

    features = FaastOnFeatures
    hidden_states = FaastOnHiddenStates


PLUGIN = Faast
