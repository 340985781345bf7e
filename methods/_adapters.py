"""Adapters of peft's tuners in a copy of a language model: variants, and ranks by a number of parameters."""

from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Literal, cast

import peft
import torch
from peft.mapping import PEFT_TYPE_TO_TUNER_MAPPING
from peft.utils.constants import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LRScheduler
from transformers.pytorch_utils import Conv1D

from bench.contracts import Backbone, LanguageBackbone, Support, Tune, UsageError
from bench.toolkit.sizing import largest_size
from methods._adapted import ClippedAdamW
from methods._peft_lm import PeftMethod
from methods._peft_variants import VARIANTS, Sizes, Variant, VariantName
from methods._training_lm import TrainingConfig

MOST = 1024
"""Largest rank."""
ADAPTER = "default"


class AdapterConfig(TrainingConfig):
    """Hyper-parameters of adapters; the rank is LoRA's in peft, alpha twice as large."""

    variant: VariantName = Field(default="lora", description="The tuner, see docs/methods.md.")
    rank: Annotated[Annotated[int, Field(ge=1, le=MOST)] | Literal["auto"], Tune(1, 64, log=True)] = Field(
        default=8,
        description="Rank of an update, or what the variant has in its place; a budget of parameters sets it. auto: "
        "the largest with at most as many trained parameters as the field parameters says.",
    )
    parameters: int | None = Field(
        default=None, ge=1, description="Most trained parameters with rank=auto; by default those of LoRA of rank 8."
    )
    alpha: Annotated[int, Tune(1, 128, log=True)] = Field(
        default=16, ge=1, le=4096, description="An update is multiplied by alpha / rank (variants with an alpha)."
    )
    lr: Annotated[float, Tune(1e-5, 1e-1, log=True)] = Field(
        default=1e-3,
        gt=0,
        le=1,
        description="AdamW's rate, falling to 0 along a cosine; by default 1e-2 for variants that train few numbers "
        "(vera, pvera, tinylora, unilora, c3a, fourierft).",
    )

    @model_validator(mode="before")
    @classmethod
    def _variant_rate(cls, given: Any) -> Any:
        if isinstance(given, dict) and "lr" not in given:
            variant = VARIANTS.get(given.get("variant", "lora"))
            return given if variant is None or variant.lr is None else {**given, "lr": variant.lr}
        return given


class AdapterMethod(PeftMethod):
    """Adapters of a variant in a copy of the language model, where peft puts LoRA in the model's family."""

    sized_by = "rank"
    Config: ClassVar[type[AdapterConfig]] = AdapterConfig
    config: AdapterConfig
    _variant: Variant
    _rank: int
    _tuner: Any

    def adapt(self, backbone: Backbone) -> Backbone:
        """A copy of the backbone with adapters in it, of a rank within the parameters wanted.

        Raises UsageError if the variant cannot stand in the model, or no rank has so few parameters.

        Returns:
            The copy.
        """
        config, self._tuner = self.config, None
        self._variant, self._rank = VARIANTS[config.variant], 1 if config.rank == "auto" else config.rank
        if config.rank == "auto":
            limit = config.parameters or self._lora_parameters(backbone)

            def count(rank: int) -> int:
                self._rank = rank
                return _trainable(super(AdapterMethod, self).adapt(backbone))

            self._rank = largest_size(count, limit, MOST if self._variant.ranked else 1)
            if self._rank == 0:
                raise UsageError(
                    f"rank=auto needs parameters={count(1)} or more for variant={config.variant} on this model, got "
                    f"{limit}; raise parameters or choose a variant with fewer"
                )
        adapted = super().adapt(backbone)
        self.notes |= {"variant": config.variant, "trained": _trainable(adapted)}
        if self._variant.ranked:
            self.notes["rank"] = self._rank
        return adapted

    def _lora_parameters(self, backbone: Backbone) -> int:
        """Parameters of LoRA of rank 8 on the same layers."""
        default = cast(int, AdapterConfig.model_fields["rank"].default)
        network = backbone.causal_lm if isinstance(backbone, LanguageBackbone) else backbone
        return sum(default * sum(_widths(layer)) for _, layer in _targets(network))

    def insert(self, adapted: LanguageBackbone) -> None:
        """Put adapters into the copy. Raises UsageError if the variant cannot stand in the model."""
        network: Any = adapted.causal_lm
        name, variant = self.config.variant, self._variant
        if name == "bitfit":
            _free_biases(network)
            return
        made = getattr(peft, variant.config, None)
        if made is None:
            raise UsageError(
                f"variant={name} needs a peft with {variant.config}, and peft {peft.__version__} has none; "
                "upgrade peft or choose another variant"
            )
        layers = _targets(network)
        if variant.bounded:
            self._rank = min(self._rank, *(width for _, layer in layers for width in _widths(layer)))
        sizes = Sizes(self._rank, self.config.alpha, tuple(_widths(layer) for _, layer in layers), self.config.steps)
        fields = variant.fields(sizes)
        if name not in ("ln_tuning", "beft"):
            fields["target_modules"] = [place for place, _ in layers]
        if variant.own_weights:
            for _, layer in layers:
                layer.weight = nn.Parameter(cast(Tensor, layer.weight).detach().clone(), requires_grad=False)
        try:
            config = made(**fields)
            tuners = cast(dict[Any, Any], PEFT_TYPE_TO_TUNER_MAPPING)
            tuner = tuners[config.peft_type](network, config, ADAPTER)
            # Some fail in their first pass alone.
            word = torch.zeros(1, 1, dtype=torch.long, device=network.device)
            network.base_model(input_ids=word, use_cache=False)
        except (ValueError, TypeError, RuntimeError, NotImplementedError) as error:
            first = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise UsageError(
                f"variant={name} of rank {self._rank} cannot stand in {type(network).__name__}: {first}; "
                "choose another variant or rank"
            ) from error
        if name == "lora_fa":
            for place, parameter in network.named_parameters():
                if "lora_A" in place:
                    parameter.requires_grad_(False)
        # Kept out of nn.Module's children: it holds the network, which the copy of the backbone has already.
        object.__setattr__(self, "_tuner", tuner)
        kinds = {place.rpartition(".")[2]: None for place, _ in layers}
        self.notes["adapted"] = name if "target_modules" not in fields else ", ".join(kinds)

    def batch_loss(self, support: Support) -> Tensor:
        """Mean cross-entropy of the batch's examples, with AdaLoRA's penalty."""
        loss = super().batch_loss(support)
        if self.config.variant != "adalora":
            return loss
        factors = [(place, each) for place, each in self.adapted.named_parameters() if ".lora_" in place]
        squares = [each @ each.mT if ".lora_A" in place else each.mT @ each for place, each in factors
                   if ".lora_E" not in place]  # fmt: skip
        weight = self._tuner.peft_config[ADAPTER].orth_reg_weight
        excess = [torch.linalg.norm(each - torch.eye(len(each)).to(each)) for each in squares]
        penalty: Tensor = weight * torch.stack(excess).mean()
        return loss + penalty

    def optimizer(self) -> tuple[Optimizer, LRScheduler | None]:
        """AdamW on a cosine; AdaLoRA takes directions away after each step."""
        optimizer, schedule = super().optimizer()
        decay = self.weight_decay if self._variant.decay else 0.0
        if self.config.variant == "adalora":
            optimizer = _AllocatingAdamW(self._tuner, self.trained(), lr=self.config.lr)
            schedule = CosineAnnealingLR(optimizer, T_max=self.config.steps)
        for group in optimizer.param_groups:
            group["weight_decay"] = decay
        return optimizer, schedule


class _AllocatingAdamW(ClippedAdamW):
    """AdamW that has AdaLoRA's tuner take the least important directions away after each step."""

    def __init__(self, tuner: Any, parameters: Any, lr: float) -> None:
        super().__init__(parameters, lr=lr)
        self._tuner, self._taken = tuner, 0

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        loss = super().step(closure)
        self._taken += 1
        self._tuner.update_and_allocate(self._taken)
        return loss


def _trainable(backbone: Backbone) -> int:
    return sum(parameter.numel() for parameter in backbone.parameters() if parameter.requires_grad)


def _targets(network: Any) -> list[tuple[str, nn.Module]]:
    """Layers that peft would put LoRA on, or all linear ones but the output layer."""
    known = TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING.get(network.config.model_type)
    head = network.get_output_embeddings()
    return [
        (name, layer)
        for name, layer in network.named_modules()
        if isinstance(layer, nn.Linear | Conv1D) and layer is not head
        if known is None or any(f".{name}".endswith(f".{ending}") for ending in known)
    ]


def _widths(layer: nn.Module) -> tuple[int, int]:
    weight = cast(Tensor, layer.weight)
    inputs, outputs = weight.shape if isinstance(layer, Conv1D) else weight.shape[::-1]
    return inputs, outputs


def _free_biases(network: nn.Module) -> None:
    """Have the biases of a network be its own and trained. Raises UsageError if it has none."""
    places = [(layer, name) for layer in network.modules() for name, _ in layer.named_parameters(recurse=False)]
    biases = [(layer, name) for layer, name in places if name == "bias"]
    if not biases:
        raise UsageError(
            f"variant=bitfit trains biases, and {type(network).__name__} has none; use variant=ln_tuning or beft"
        )
    for layer, name in biases:
        setattr(layer, name, nn.Parameter(getattr(layer, name).detach().clone()))
