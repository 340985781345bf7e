"""kNN-LM: next tokens of the nearest contexts in the support text, mixed into the language model's own prediction."""

import math
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Annotated, Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from bench.contracts import (
    LANGUAGE,
    Answers,
    Backbone,
    ForwardMethod,
    InputMode,
    LanguageBackbone,
    MethodConfig,
    ProblemShape,
    Query,
    Support,
    Tune,
    UsageError,
)
from bench.toolkit.hidden_states import whole_texts
from bench.toolkit.hooks import input_hooks
from bench.toolkit.precision import without_autocast
from methods._block_parts import feed_forward
from methods._neighbours import NeighbourStore
from methods._reservoir import Reservoir


class KnnLmConfig(MethodConfig):
    """Hyper-parameters of kNN-LM; defaults are published."""

    k: Annotated[int, Tune(1, 1024, log=True)] = Field(
        default=1024, ge=1, le=65_536, description="Neighbours that vote, or all where fewer are stored."
    )
    lam: Annotated[float, Tune(0.0, 0.95)] = Field(
        default=0.25, ge=0, lt=1, description="Share of the neighbours in the mixture."
    )
    tau: Annotated[float, Tune(0.1, 1e3, log=True)] = Field(
        default=1.0,
        gt=0,
        le=1e6,
        description="A neighbour at squared distance d votes with exp(-d / tau).",
    )
    probes: int = Field(
        default=32, ge=1, description="Cells of the FAISS index that are looked through; used from 100,000 keys on."
    )
    window: int = Field(default=1024, ge=2, description="Tokens of support text that are read at a time, at most.")


class KnnLm(ForwardMethod):
    """``p = lam * p_knn + (1 - lam) * p_lm``, with ``p_knn(y)`` the votes of the neighbours whose next token is y.

    A key is the input of the last block's feed-forward part, at every position of the support text whose next token
    is real; each example is a text of its own. The mixture stands in place of the model's logits (its logarithm is
    its own log-softmax), so that perplexity, scoring and generation all read it. It stores every token.
    """

    kinds = LANGUAGE
    family = "memory"
    needs_language_model = LANGUAGE
    reads = InputMode.INPUTS
    episodes_at_once = 1
    Config = KnnLmConfig
    config: KnnLmConfig
    source: ClassVar[str] = (
        "Khandelwal et al. 2020, Generalization through Memorization: Nearest Neighbor Language Models, "
        "arXiv 1911.00172"
    )

    def __init__(self, config: KnnLmConfig, backbone: Backbone, shape: ProblemShape) -> None:
        if not isinstance(backbone, LanguageBackbone):
            raise UsageError(f"knn_lm needs a language model, got {type(backbone).__name__}")
        super().__init__(config, backbone, shape)
        self._feed_forward = feed_forward(backbone.blocks[-1], "knn_lm")
        self.store = NeighbourStore(backbone.width, config.probes, Reservoir.of(shape))

    backbone: LanguageBackbone

    def observe(self, support: Support) -> None:
        """Run the batch's texts through the model, and keep the key and the next token at each position."""
        for tokens in self.backbone.tokens(whole_texts(support, self.shape), self.config.window):
            seen: list[Tensor] = []
            with input_hooks([(self._feed_forward, seen.append)]), torch.no_grad():
                self._network.base_model(input_ids=tokens.ids, attention_mask=tokens.mask, use_cache=False)
            # Both the position and the one that follows must be real.
            real = (tokens.mask[:, 1:] * tokens.mask[:, :-1]).bool()
            self.store.add(seen[0][:, :-1][real], tokens.ids[:, 1:][real])

    def solve(self) -> None:
        """Build the store."""
        self.store.build()
        self.notes["stored_tokens"] = len(self.store)
        self.notes["search"] = f"FAISS, {self.config.probes} cells" if self.store.indexed else "exact"

    def state_bytes(self) -> int:
        """Bytes of the store: a key and a token for each position."""
        return self.store.nbytes()

    def predict(self, query: Query) -> Answers:
        """What the model answers with the neighbours mixed in, or as it is where nothing is stored."""
        if len(self.store) == 0:
            return self.backbone.answer(query, self.shape.kind, self.shape.protocol)
        with self.hooks_active():
            return self.backbone.answer(query, self.shape.kind, self.shape.protocol)

    @contextmanager
    def hooks_active(self) -> Iterator[None]:
        """While this lasts, the model's logits are the logarithm of the mixture.

        The head is called on any slice of the hidden states, in an order of the caller's choosing. So that it knows
        the key of each, keys travel appended to their states, from the network's body to its head.
        """
        keys: list[Tensor] = []
        width = self.store.keys.shape[1]

        def append(module: nn.Module, args: Any, output: Any) -> Any:
            output.last_hidden_state = torch.cat([output.last_hidden_state, keys.pop()], dim=-1)
            return output

        def take(module: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            (wide,) = args
            keys.append(wide[..., -width:])
            return (wide[..., :-width],)

        def mix(module: nn.Module, args: Any, logits: Tensor) -> Tensor:
            return self.mixture(logits, keys.pop())

        head = self._network.get_output_embeddings()
        with ExitStack() as stack:
            stack.enter_context(input_hooks([(self._feed_forward, keys.append)]))
            for handle in (
                self._network.base_model.register_forward_hook(append),
                head.register_forward_pre_hook(take),
                head.register_forward_hook(mix),
            ):
                stack.callback(handle.remove)
            yield

    def mixture(self, logits: Tensor, keys: Tensor) -> Tensor:
        """Log-probabilities ``[..., token]`` from the model's logits and ``keys [..., dim]``, in float32."""
        with without_autocast(keys):
            distances, tokens = self.store.nearest(keys.reshape(-1, keys.shape[-1]).float(), self.config.k)
        # Where an index has found no neighbour at all, nobody votes.
        votes = (-distances / self.config.tau).softmax(dim=-1).masked_fill(distances.isinf(), 0)
        share = torch.tensor(self.config.lam, dtype=torch.float32, device=logits.device)
        neighbours = votes.new_zeros(len(votes), logits.shape[-1]).scatter_add_(1, tokens, votes)
        # The logarithm of a token that no neighbour has is -inf, and leaves the model's own share.
        neighbours = neighbours.log_().add_(share.log()).view_as(logits)
        return torch.logaddexp(neighbours, logits.float().log_softmax(dim=-1) + math.log1p(-self.config.lam))

    @property
    def _network(self) -> Any:
        """The model as transformers has it, with ``base_model`` and ``get_output_embeddings``."""
        return self.backbone.causal_lm


PLUGIN = KnnLm
