"""FAAST inside a language model that goes on by adding sums."""

from bench.contracts import Memory, MethodConfig
from methods._continual_inside import RemovingInside
from methods._token_weights import TokenWeights
from methods.faast import FaastOnHiddenStates, FaastOnHiddenStatesConfig


class LastingTokenWeights(TokenWeights):
    """Fast weights of tokens with sums that stay after ``solve``."""

    def solve(self) -> None:
        """Compile all pairs so far, and keep their sums."""
        kept = self._count, self._sums, self._energy
        super().solve()
        self._count, self._sums, self._energy = kept

    def remove(self, other: "LastingTokenWeights") -> None:
        """Subtract the sums of another memory, whose pairs are in this one."""
        if self._count is None or other._count is None or self._energy is None or other._energy is None:
            return
        self._count, self._energy = self._count - other._count, self._energy - other._energy
        self._sums.subtract(other._sums)


class ContinualFaastInside(RemovingInside, FaastOnHiddenStates):
    """The least-squares maps of the tokens of all support sets so far.

    With ``solver=published`` the average of chunks goes on, as it does within a support set.
    """

    @classmethod
    def removes(cls, config: MethodConfig) -> bool:
        """Exactly where sums are kept of pairs that no draw has shuffled."""
        assert isinstance(config, FaastOnHiddenStatesConfig)
        return config.solver == "exact" and config.pairs != "shuffled"

    def make_memory(self, width: int) -> Memory:
        """Sums that stay, or the published average of chunks."""
        config = self.config
        if config.solver == "published":
            return super().make_memory(width)
        return LastingTokenWeights(width, alpha=config.alpha, rank=config.rank)


PLUGIN = ContinualFaastInside
