"""In-place test-time training: down-projections as fast weights that a text changes while it is read."""

import math
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from bench.contracts import (
    Answers,
    Backbone,
    DataError,
    ForwardMethod,
    InputMode,
    Kind,
    LanguageBackbone,
    MethodConfig,
    ProblemShape,
    Query,
    Support,
    Tune,
    UsageError,
)
from bench.toolkit.hidden_states import whole_texts
from bench.toolkit.in_place import EVERY, Attention, InPlaceLayers, Target
from bench.toolkit.in_place_chunks import KERNEL, InPlaceParts
from bench.toolkit.in_place_files import read_in_place

UNTRAINED = "untrained: a fixed next-token rule, not the published method, whose convolution and P are trained"
RATE, CAP = 0.3, 0.01


class InPlaceTttConfig(MethodConfig):
    """Hyper-parameters of in-place test-time training."""

    weights: Path | None = Field(
        default=None,
        description="A file of bench readout train --part in_place: trained convolutions and P, named as in the "
        "authors' code. Without it the method is an untrained variant: the value of a token is the embedding of the "
        "next one.",
    )
    blocks: Literal["every_sixth", "last_third"] = Field(
        default="last_third", description="Blocks of the untrained variant; trained weights have their own."
    )
    chunk: Annotated[int, Tune(64, 1024, log=True)] = Field(
        default=256, ge=1, le=2**20, description="Tokens that are read by the same fast weights."
    )
    lr: float | None = Field(
        default=None,
        ge=0,
        description="Rate of the fast weights; 0 is the model alone. By default that of the training, or 0.3; of the "
        "untrained variant that which gives share.",
    )
    share: Annotated[float, Tune(0.003, 0.3, log=True)] = Field(
        default=0.03,
        ge=0,
        le=1e3,
        description="What the first chunk of the support set adds to a down-projection's output in the second, as a "
        "share of its length in the median token; it sets the rates of the untrained variant.",
    )
    cap: float | None = Field(
        default=None,
        gt=0,
        description="Largest Frobenius norm of what is added to a down-projection, as a share of its own. By default "
        "none, and 0.01 in the untrained variant.",
    )
    scope: Literal["support", "query", "both"] = Field(
        default="both",
        description="What changes fast weights. support: the support texts. query: each query text, from the model's "
        "own weights on. both: each query text, after the support texts.",
    )
    attention: Attention = Field(
        default="full",
        description="chunk: every chunk is a text of its own, so that fast weights alone carry anything over.",
    )
    carry: bool = Field(
        default=False,
        description="Language modelling: fast weights go on from one window of a text to the next, in place of "
        "beginning anew in each.",
    )
    window: int = Field(default=1024, ge=2, description="Tokens of support text that are read at a time, at most.")


class InPlaceTtt(ForwardMethod):
    """Every chunk of a text adds outer products of values and inputs to the down-projections that read the next one.

    With ``weights``, values are ``z = conv(x) P`` of the feed-forward part's inputs x (or of token embeddings), trained
    with the rest of the model frozen; the authors train the whole model further. Without, the method is an untrained
    variant that its notes name so: values are the next tokens' embeddings, rates are set on the support set by
    ``share``, and the state is capped.

    The support texts are one stream, in an order shuffled by the problem's seed where there are classes, and its last
    chunk counts although it is short. An answer is read by the fast weights at the end of its prompt. ``lr=0`` is the
    model alone to the last digit.
    """

    kinds = frozenset({Kind.TEXT_CLASSIFICATION, Kind.LANGUAGE_MODELLING})
    needs_language_model = kinds
    reads = InputMode.INPUTS
    episodes_at_once = 1
    Config = InPlaceTttConfig
    config: InPlaceTttConfig
    source = "In-Place Test-Time Training, ICLR 2026, arXiv 2604.06169"

    def __init__(self, config: InPlaceTttConfig, backbone: Backbone, shape: ProblemShape) -> None:
        if not isinstance(backbone, LanguageBackbone):
            raise UsageError(
                f"in_place_ttt needs a language model, got {type(backbone).__name__}; choose a language backbone"
            )
        super().__init__(config, backbone, shape)
        rate, target, cap = config.lr, "embedding", config.cap
        if config.weights is None:
            blocks = _blocks(len(backbone.blocks), config.blocks)
            parts = [_next_token(backbone)] * len(blocks)
            cap = CAP if cap is None else cap
            self.notes["form"] = UNTRAINED
        else:
            trained = read_in_place(config.weights, backbone.width)
            blocks = list(trained.parts)
            # Parameters are counted as state; the rule of the untrained variant has no numbers of its own.
            self.trained = nn.ParameterList()
            parts = [self._kept(each) for each in trained.parts.values()]
            target = trained.about.get("target", "hidden")
            rate = float(trained.about.get("memory_rate", RATE)) if rate is None else rate
            self.notes["form"] = f"trained: {config.weights}, chunks of {trained.about.get('chunk', 'unknown')}"
        self._rates_by_share = rate is None
        self.layers = InPlaceLayers(
            backbone, blocks, parts, [rate or 0.0] * len(blocks), chunk=config.chunk, target=_target(target), cap=cap,
            attention=config.attention,
        )  # fmt: skip
        self.notes["blocks"] = ", ".join(map(str, blocks))
        self._texts: list[str] = []

    backbone: LanguageBackbone

    def _kept(self, given: InPlaceParts) -> InPlaceParts:
        tensors = [given.conv] if given.proj is None else [given.conv, given.proj]
        made = [nn.Parameter(tensor, requires_grad=False) for tensor in tensors]
        self.trained.extend(made)
        return InPlaceParts(made[0], made[1] if len(made) > 1 else None)

    def observe(self, support: Support) -> None:
        """Keep the batch's texts until all are there.

        Args:
            support: A batch of one episode.

        Raises:
            DataError: If a text is empty.
        """
        texts = whole_texts(support, self.shape)
        if "" in texts:
            raise DataError(f"a text must have a token or more of {self.backbone.name}, got ''")
        self._texts += texts

    def solve(self) -> None:
        """Set the rates where they are not given, and read the support texts where they change fast weights."""
        order = list(range(len(self._texts)))
        if self.shape.n_way > 1:
            order = torch.randperm(len(self._texts), generator=self.shape.generator()).tolist()
        stream = "".join(self._texts[index] for index in order)
        self._texts = []
        if not stream:
            return
        size = min(self.config.window, self.backbone.context_length)
        window = max(size - size % self.config.chunk, min(size, self.config.chunk))
        if self._rates_by_share:
            first = next(iter(self.backbone.tokens([stream], min(2 * self.config.chunk, self.backbone.context_length))))
            self.layers.set_rates(first.ids[:1, : int(first.mask[0].sum())], self.config.share)
            self.notes["rates"] = [float(f"{rate:.4g}") for rate in self.layers.rates]
        if self.config.scope == "query":
            return
        with self.layers.active(joined=True, unfinished=True), torch.no_grad():
            for tokens in self.backbone.tokens([stream], window):
                self.backbone.decoder(input_ids=tokens.ids, attention_mask=tokens.mask, use_cache=False)
        self.layers.start = list(self.layers.states)
        self._note_telemetry("support")

    def predict(self, query: Query) -> Answers:
        """Answers of the model with its fast weights; see Method.predict for the shapes.

        Args:
            query: A batch of one episode.

        Returns:
            Scores.

        Raises:
            UsageError: If states are to be carried over windows that overlap or that chunks do not divide.
        """
        texts, protocol = query.inputs.episode(0), self.shape.protocol
        if self.shape.kind is Kind.LANGUAGE_MODELLING:
            if self.config.carry:
                self._require_windows()
                sums = [self._carried(text) for text in texts]
                scores = torch.cat(sums) if sums else torch.zeros(0, 2)
            else:
                with self._active():
                    scores = self.backbone.loglikelihood_rolling(texts, protocol.window, protocol.stride)
            scores = scores.unsqueeze(0)
        else:
            answers = query.classes.names[0]
            scores = query.prior.new_zeros(*query.mask.shape, len(answers))
            if texts:
                # One prompt after another: its own text alone may change what its answers are read by.
                scores[query.mask] = torch.cat([self._scored(text, answers) for text in texts]).to(scores)
        self._note_telemetry("query")
        return scores

    def state_bytes(self) -> int:
        """Bytes of the trained parts, and of the states that support texts left."""
        return super().state_bytes() + sum(state.nbytes for state in self.layers.start if state is not None)

    def _active(self, *, joined: bool = False) -> AbstractContextManager[None]:
        return self.layers.active(writes=self.config.scope != "support", joined=joined)

    def _scored(self, text: str, answers: tuple[str, ...]) -> Tensor:
        with self._active():
            return self.backbone.loglikelihood(self.shape.protocol.instructed(), [text], answers)

    def _carried(self, text: str) -> Tensor:
        # A text's windows are the rows of one batch after another in their order, the last, shorter one at the end.
        with self._active(joined=True):
            return self.backbone.loglikelihood_rolling([text], self.shape.protocol.window, None)

    def _require_windows(self) -> None:
        protocol, chunk = self.shape.protocol, self.config.chunk
        window = min(protocol.window, self.backbone.context_length)
        if protocol.stride is not None or window % chunk:
            kind = "windows that overlap" if protocol.stride is not None else f"windows of {window} tokens"
            raise UsageError(
                f"in_place_ttt.carry needs windows that do not overlap, of whole chunks of {chunk} tokens, got {kind}; "
                "use another chunk or task"
            )

    def _note_telemetry(self, stage: str) -> None:
        """Norms of the blocks' states and of what they added, since the last note."""
        layers = self.layers
        if any(layers.sizes):
            self.notes[f"{stage}_state_norms"] = [_rounded(each, "max") for each in layers.sizes]
            self.notes[f"{stage}_added_norms"] = [_rounded(each, "median") for each in layers.shares]
        self.notes[f"{stage}_updates"] = layers.updates
        layers.forget_measures()


def _rounded(found: list[Tensor], kind: Literal["max", "median"]) -> float:
    values = torch.stack(found) if found else torch.zeros(1)
    value = float(values.max() if kind == "max" else values.nanmedian())
    return 0.0 if math.isnan(value) else float(f"{value:.3g}")


def _blocks(count: int, which: str) -> list[int]:
    return list(range(0, count, EVERY)) if which == "every_sixth" else list(range(count - max(1, count // 3), count))


def _next_token(backbone: LanguageBackbone) -> InPlaceParts:
    """The rule of the untrained variant: the value of a token is the embedding of the next token of its chunk."""
    device = next(backbone.parameters()).device
    conv = torch.zeros(backbone.width, 1, KERNEL, device=device)
    conv[:, :, KERNEL // 2 + 1] = 1
    return InPlaceParts(conv, None)


def _target(name: str) -> Target:
    return "embedding" if name == "embedding" else "hidden"


PLUGIN = InPlaceTtt
