"""CLIP-LoRA: low-rank updates of attention in CLIP's image tower, its text tower, or both."""

import copy
import warnings
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal, cast

from peft import LoraConfig as Updates
from peft import inject_adapter_in_model
from pydantic import Field
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler

from bench.contracts import (
    Backbone,
    Classes,
    GradientMethod,
    InputMode,
    Kind,
    MethodConfig,
    ProblemShape,
    Query,
    Support,
    Tune,
    TwoTowerBackbone,
    UsageError,
)
from bench.toolkit.seeds import seeded
from methods._adapted import SplitAttention, copied, split_attention
from methods._image_scores import answered, image_scores

ADAPTED = ("query", "key", "value")
"""Projections with an update; that of the output has none, as published."""
STEPS_PER_SHOT = 500
LEAST_LR = 1e-6


class ClipLoraConfig(MethodConfig):
    """Hyper-parameters of CLIP-LoRA; the defaults are published, for all data sets and shots."""

    towers: Literal["both", "image", "text"] = Field(default="both", description="Towers with updates.")
    rank: Annotated[int, Tune(1, 64, log=True)] = Field(default=2, ge=1, le=1024, description="Rank of an update.")
    alpha: Annotated[int, Tune(1, 128, log=True)] = Field(
        default=1, ge=1, le=4096, description="An update is multiplied by alpha / sqrt(rank)."
    )
    dropout: Annotated[float, Tune(0.0, 0.5)] = Field(
        default=0.25, ge=0, lt=1, description="Share of an update's inputs that are dropped."
    )
    lr: Annotated[float, Tune(1e-5, 1e-2, log=True)] = Field(
        default=2e-4, gt=0, le=1, description="AdamW's initial rate; it falls to 1e-6 along a cosine."
    )
    steps: int | None = Field(
        default=None, ge=1, le=1_000_000, description="Optimizer steps; by default 500 for each shot."
    )
    batch_size: int = Field(default=32, ge=1, description="Images per step.")


class ClipLora(GradientMethod):
    """Scores of a CLIP whose attention has updates ``alpha / sqrt(rank) B A`` of queries, keys and values.

    The loss is the cross-entropy of the model's own scores, image feature by text feature of each class prompt. With
    updates in the text tower the class prompts are embedded in each step, and once more after the last; several prompts
    of a task are averaged as they are without updates. The updates stand in copies, and B starts at 0. Nothing is
    searched; the authors take the images at random crops and flips, which frozen transforms do not have.
    """

    kinds = frozenset({Kind.IMAGE_CLASSIFICATION})
    reads = InputMode.INPUTS
    needs_text_tower = True
    episodes_at_once = 1
    sized_by = "rank"
    Config: ClassVar[type[ClipLoraConfig]] = ClipLoraConfig
    config: ClipLoraConfig
    source = (
        "Zanella and Ben Ayed 2024, Low-Rank Few-Shot Adaptation of Vision-Language Models (CLIP-LoRA), "
        "arXiv 2405.18541"
    )

    def __init__(self, config: ClipLoraConfig, backbone: Backbone, shape: ProblemShape) -> None:
        super().__init__(config, backbone, shape)
        if not isinstance(backbone, TwoTowerBackbone):
            raise UsageError(
                f"clip_lora needs a backbone with an image and a text tower, such as open_clip:MODEL/TAG, got "
                f"{type(backbone).__name__}; lora adapts image towers alone"
            )
        shots = -(-shape.n_support // shape.n_way)
        self.steps = config.steps or STEPS_PER_SHOT * max(1, shots)
        self.batch_size = config.batch_size
        self._step = 0
        self.adapted = cast(TwoTowerBackbone, copied(backbone))
        self.text = None if config.towers == "image" else _copied(backbone.text_tower)
        if config.towers != "text":
            self._insert(self.adapted, "image")
        if self.text is not None:
            self._insert(self.text, "text")
        self._known: tuple[tuple[str, ...], Tensor] | None = None
        self._names: tuple[str, ...] = ()

    backbone: TwoTowerBackbone

    def _insert(self, tower: nn.Module, name: str) -> None:
        """Put updates into a copied tower. Raises UsageError if it has no attention to put them into."""
        split_attention(tower)
        targets = [
            f"{place}.{part}"
            for place, layer in tower.named_modules()
            if isinstance(layer, SplitAttention)
            for part in ADAPTED
        ]
        if not targets:
            raise UsageError(
                f"clip_lora adapts attention, and the {name} tower has none of the usual form; "
                "choose the other tower by the field towers, or lora"
            )
        config = self.config
        updates = Updates(
            r=config.rank,
            lora_alpha=config.alpha,
            lora_dropout=config.dropout,
            use_rslora=True,
            target_modules=targets,
        )
        with seeded(self.shape.seed, next(tower.parameters()).device), warnings.catch_warnings():
            # peft warns of ranks above a layer's width.
            warnings.simplefilter("ignore")
            inject_adapter_in_model(updates, tower)

    def loss(self, support: Support) -> Tensor:
        """Mean cross-entropy of a batch of images; dropout depends on the seed and step alone."""
        self._eval()
        for name, module in self.named_modules():
            if name.endswith("lora_dropout"):
                module.train()
        self._step += 1
        self._names, self._known = support.classes.names[0], None
        with seeded(self.shape.seed + self._step, support.mask.device):
            scores = image_scores(self.adapted, support.inputs, self._with_vectors(support.classes))
            return cross_entropy(scores, support.labels[support.mask])

    def optimizer(self) -> tuple[Optimizer, LRScheduler | None]:
        """AdamW on a cosine that ends at 1e-6, without clipping."""
        # A trainer of lower precision has cast the whole method by now.
        for parameter in self._trained():
            parameter.data = parameter.data.float()
        optimizer = AdamW(self._trained(), lr=self.config.lr, weight_decay=1e-2)
        return optimizer, CosineAnnealingLR(optimizer, T_max=self.steps, eta_min=LEAST_LR)

    def finish(self) -> None:
        """Embed the class prompts by the adapted text tower."""
        self._eval()
        if self.text is not None:
            self._known = self._names, self._class_vectors(self._names)

    def predict(self, query: Query) -> Tensor:
        """Scores ``[1, item, way]``, 0 where an item is padding."""
        self._eval()
        classes = self._with_vectors(query.classes)
        return answered(query, lambda part: image_scores(self.adapted, part, classes))

    def _eval(self) -> None:
        self.adapted.eval()
        if self.text is not None:
            self.text.eval()

    def _with_vectors(self, classes: Classes) -> Classes:
        """The classes with text features of the adapted tower, those of before if that is not adapted."""
        if self.text is None:
            return classes
        names = classes.names[0]
        if self._known is None or self._known[0] != names:
            return Classes(self._class_vectors(names).unsqueeze(0), classes.names)
        return Classes(self._known[1].unsqueeze(0), classes.names)

    def _class_vectors(self, names: Sequence[str]) -> Tensor:
        """``[way, dim]``, mean directions of each class's prompts."""
        prompts = self.shape.class_prompts
        texts = [prompt.replace("{label}", name) for name in names for prompt in prompts]
        assert self.text is not None
        each = normalize(self.adapted.text_features(self.text, texts).float(), dim=-1)
        return normalize(each.view(len(names), len(prompts), -1).mean(dim=1), dim=-1)

    def _trained(self) -> list[Tensor]:
        return [parameter for parameter in self.parameters() if parameter.requires_grad]

    def state_bytes(self) -> int:
        """Bytes of the updates; the towers are the backbone's."""
        return sum(parameter.nbytes for parameter in self._trained())


def _copied(tower: nn.Module) -> nn.Module:
    """A tower with modules of its own, on the same memory."""
    # Parameters are objects of its own too: a trainer moves and casts them, and the tower of the backbone stays.
    shared = {id(weights): nn.Parameter(weights.detach(), requires_grad=False) for weights in tower.parameters()}
    return copy.deepcopy(tower, shared).requires_grad_(False)


PLUGIN = ClipLora
