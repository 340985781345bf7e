"""In-place test-time training: down-projections of feed-forward parts as fast weights (arXiv 2604.06169).

With h the input of a down-projection W at a token and z the token's value, the tokens of a chunk add ``lr sum z h^T``
to W once they are all read, see ``bench.toolkit.in_place_chunks``. Targets that values are made of are the inputs of
the feed-forward part, or the token embeddings.
"""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn

from bench.contracts import LanguageBackbone, UsageError
from bench.toolkit.in_place_chunks import InPlaceParts, chunk_attention, chunk_values, read_in_chunks
from bench.toolkit.precision import without_autocast

EVERY = 6
"""Distance of the blocks with fast weights, as published."""
Target = Literal["hidden", "embedding"]
Attention = Literal["full", "chunk"]


def feed_forward(block: nn.Module) -> tuple[nn.Module, nn.Module]:
    """The feed-forward part of a block and its down-projection, under the names of Llama, Qwen and GPT-2.

    Args:
        block: A transformer block.

    Returns:
        Both modules.

    Raises:
        UsageError: If they have no such names.
    """
    part = getattr(block, "mlp", None)
    for name in ("down_proj", "c_proj"):
        down = getattr(part, name, None)
        if isinstance(part, nn.Module) and isinstance(down, nn.Module):
            return part, down
    raise UsageError(
        "in-place test-time training needs blocks with mlp.down_proj (Llama, Qwen) or mlp.c_proj (GPT-2), got "
        f"{type(block).__name__}; choose another backbone"
    )


class InPlaceLayers:
    """Fast weights in some blocks of a language model.

    While ``active`` lasts, each forward pass of the decoder without cached tokens begins texts with the states in
    ``start``. A pass that goes on from cached tokens reads by the states of the pass before it and changes none: the
    answers to a prompt share the prompt's states.

    Attributes:
        rates: ``[block]``, rates lr.
        start: ``[block]`` states ``[1, d, H]`` before a text; None for nothing.
        states: ``[block]`` states ``[text or 1, d, H]`` after the last pass.
        norms: ``[block]`` Frobenius norms of the down-projections.
        shares: ``[block][pass]``, median length of what a state adds as a share of the down-projection's output.
        sizes: ``[block][pass]``, largest norm of a state as a share of the down-projection's.
        updates: Number of changes of a block's state, in all texts.
    """

    def __init__(
        self, backbone: LanguageBackbone, blocks: Sequence[int], parts: Sequence[InPlaceParts], rates: Sequence[float],
        *, chunk: int, target: Target, cap: float | None = None, attention: Attention = "full",
    ) -> None:  # fmt: skip
        """Attach nothing yet; see ``active``.

        Args:
            backbone: The model.
            blocks: Numbers of the blocks with fast weights.
            parts: Tensors of each of these blocks.
            rates: Rate of each.
            chunk: Tokens of a chunk.
            target: What values are made of.
            cap: Largest Frobenius norm of a state as a share of the down-projection's; None for no limit.
            attention: "chunk" for attention that does not cross the border of a chunk.

        Raises:
            UsageError: If the model has no such blocks.
        """
        everything = list(backbone.blocks)
        if not blocks or max(blocks) >= len(everything):
            raise UsageError(
                f"fast weights need blocks from 0 to {len(everything) - 1} of this model, got {list(blocks)}"
            )
        self._modules = [feed_forward(everything[number]) for number in blocks]
        self.backbone, self.parts, self.rates = backbone, parts, list(rates)
        self.chunk, self.target, self.cap, self.attention = chunk, target, cap, attention
        self.norms = [float(torch.linalg.vector_norm(_weight(down).detach().float())) for _, down in self._modules]
        self.start: list[Tensor | None] = [None] * len(blocks)
        self.states: list[Tensor | None] = [None] * len(blocks)
        self.shares: list[list[Tensor]] = [[] for _ in blocks]
        self.sizes: list[list[Tensor]] = [[] for _ in blocks]
        self.updates = 0
        self._targets: Tensor | None = None
        self._mask = torch.empty(0)
        self._goes_on, self._border = False, 0

    @contextmanager
    def active(self, *, writes: bool = True, joined: bool = False, unfinished: bool = False) -> Iterator[None]:
        """Context in which passes of the decoder go through the fast weights.

        Args:
            writes: Whether chunks change the states.
            joined: Whether the rows of a pass are consecutive windows of one text, and a pass goes on with the states
                of the pass before it.
            unfinished: Whether a last chunk of fewer tokens changes the states too.

        Yields:
            Nothing; the hooks are removed at the end.
        """
        self.states = list(self.start)

        def begin(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            return args, self._begun(kwargs, joined)

        with ExitStack() as stack:
            handles = [self.backbone.decoder.register_forward_pre_hook(begin, with_kwargs=True)]
            for number, (part, down) in enumerate(self._modules):
                if self.target == "hidden":
                    handles.append(part.register_forward_pre_hook(self._keep_targets))

                def change(
                    module: nn.Module, args: tuple[Any, ...], output: Tensor, number: int = number
                ) -> Tensor:  # fmt: skip
                    with without_autocast(output):
                        return self._changed(number, args[0], output, writes, joined, unfinished)

                handles.append(down.register_forward_hook(change))
            for handle in handles:
                stack.callback(handle.remove)
            yield

    def _begun(self, kwargs: dict[str, Any], joined: bool) -> dict[str, Any]:
        ids, past = kwargs["input_ids"], kwargs.get("past_key_values")
        before = 0 if past is None else int(past.get_seq_length())
        mask = kwargs.get("attention_mask")
        mask = ids.new_ones(len(ids), before + ids.shape[1]) if mask is None else mask
        self._goes_on, self._mask = before > 0, mask[:, before:, None].float()
        # Passes over the tokens of one answer follow each other, the first of them after the prompt.
        self._border = min(self._border or before, before)
        if not before and not joined:
            self.states = list(self.start)
        if self.target == "embedding":
            self._targets = self.backbone.embed(ids)
        if self.attention == "full":
            return kwargs
        dtype = next(self.backbone.parameters()).dtype
        return kwargs | chunk_attention(before, self._border, mask, self.chunk, dtype)

    def _keep_targets(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        self._targets = args[0]

    def _values(self, number: int, chunk: int) -> Tensor:
        """Values of the tokens of the present pass, those of padding without their tokens."""
        assert self._targets is not None
        return chunk_values(self._targets.float() * self._mask, self.parts[number], chunk)

    def _changed(
        self, number: int, given: Tensor, output: Tensor, writes: bool, joined: bool, unfinished: bool
    ) -> Tensor:
        hidden, before = given.float(), self.states[number]
        if self._goes_on or not writes:
            if before is None:
                return output
            added = hidden @ before.mT
        else:
            values, kept = self._values(number, self.chunk) * self.rates[number], hidden * self._mask
            if joined:
                values, kept = (each.reshape(1, -1, each.shape[-1]) for each in (values, kept))
            largest = None if self.cap is None else self.cap * self.norms[number]
            added, state = read_in_chunks(kept, values, before, self.chunk, largest, unfinished=unfinished)
            self.states[number] = state
            added = added.reshape(output.shape)
            count = -(-kept.shape[1] // self.chunk) if unfinished else kept.shape[1] // self.chunk
            self.updates += len(kept) * count if number == 0 else 0
        if not torch.is_grad_enabled():
            self._measure(number, added, output)
        return (output.float() + added).to(output.dtype)

    def _measure(self, number: int, added: Tensor, output: Tensor) -> None:
        lengths = torch.linalg.vector_norm(added, dim=-1)
        shares = lengths / torch.linalg.vector_norm(output.float(), dim=-1)
        # Not a number before the first change of the state; to leave passes out here would wait for the device.
        self.shares[number].append(shares.where(lengths > 0, torch.nan).nanmedian())
        state = self.states[number]
        if state is not None:
            largest = torch.linalg.vector_norm(state, dim=(1, 2)).max()
            self.sizes[number].append(largest / self.norms[number])

    def forget_measures(self) -> None:
        """Begin ``shares``, ``sizes`` and ``updates`` anew."""
        self.shares = [[] for _ in self._modules]
        self.sizes = [[] for _ in self._modules]
        self.updates = 0

    @torch.no_grad()
    def set_rates(self, ids: Tensor, share: float) -> None:
        """Set the rates so that one chunk's change is a share of the output of the next, in the median token.

        Args:
            ids: ``[1, position]``, token ids of which the first half is a chunk, the second the next one.
            share: Length of what the change adds as a share of the length of the down-projection's output.
        """
        half = ids.shape[1] // 2
        found: dict[int, float] = {}

        def measure(number: int) -> Any:
            def hook(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
                with without_autocast(output):
                    hidden = args[0].float()
                    change = self._values(number, half)[:, :half].mT @ hidden[:, :half]
                    added = torch.linalg.vector_norm(hidden[:, half:] @ change.mT, dim=-1)
                    ratio = float((added / torch.linalg.vector_norm(output[:, half:].float(), dim=-1)).median())
                    found[number] = share / ratio if ratio > 0 else 0.0

            return hook

        if half == 0:
            return
        with self.active(writes=False), ExitStack() as stack:
            for number, (_, down) in enumerate(self._modules):
                stack.callback(down.register_forward_hook(measure(number)).remove)
            self.backbone.decoder(input_ids=ids, use_cache=False)
        self.rates = [found[number] for number in range(len(self._modules))]


def _weight(down: nn.Module) -> Tensor:
    weight = getattr(down, "weight", None)
    if not isinstance(weight, Tensor):
        raise UsageError(f"fast weights need a down-projection with a weight, got {type(down).__name__}")
    return weight
