"""Variants of adapters in a language model: peft's tuners with what sets their size."""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil, gcd
from typing import Any, Literal, get_args

VariantName = Literal[
    "lora", "rslora", "dora", "pissa", "olora", "lora_fa", "adalora", "vera", "pvera", "tinylora", "unilora", "vblora",
    "randlora", "frod", "loha", "lokr", "hira", "gralora", "glora", "lily", "peanut", "delora", "deft", "oft", "boft",
    "hra", "psoft", "road", "miss", "shira", "supertuning", "adamss", "c3a", "fourierft", "waveft", "ln_tuning", "beft",
    "bitfit",
]  # fmt: skip


@dataclass(frozen=True)
class Sizes:
    """What the size of adapters depends on.

    Attributes:
        rank: The rank, or what a variant has in its place.
        alpha: LoRA's alpha.
        layers: Widths of the inputs and outputs of the layers to adapt.
        steps: Optimizer steps.
    """

    rank: int
    alpha: int
    layers: tuple[tuple[int, int], ...]
    steps: int

    @property
    def low_rank(self) -> int:
        """Parameters that LoRA of this rank has in the smallest layer, and at most those of its weights."""
        smallest = min(self.layers, key=sum)
        return min(self.rank * sum(smallest), *(inputs * outputs for inputs, outputs in self.layers))

    @property
    def share(self) -> float:
        """Share of a layer's weights that is ``low_rank`` in the smallest layer, and a trifle, as peft rounds down."""
        inputs, outputs = min(self.layers, key=sum)
        return min(1.0, (1 + 1e-9) * self.low_rank / (inputs * outputs))

    def inputs_divisor(self, most: int) -> int:
        """Largest number up to ``most`` that divides the widths of all inputs."""
        return _divisor(gcd(*(inputs for inputs, _ in self.layers)), most)

    def outputs_divisor(self, most: int) -> int:
        """Largest number up to ``most`` that divides the widths of all outputs."""
        return _divisor(gcd(*(outputs for _, outputs in self.layers)), most)

    @property
    def common(self) -> int:
        """Largest number that divides all widths."""
        return gcd(*(width for layer in self.layers for width in layer))


def _divisor(number: int, most: int) -> int:
    return max(part for part in range(1, max(1, most) + 1) if number % part == 0)


@dataclass(frozen=True)
class Variant:
    """One of peft's tuners.

    Attributes:
        config: Name of its class of configs in peft; empty for ``bitfit``, which needs no tuner.
        fields: Fields of the config by the sizes.
        lr: Default rate; None for that of the method.
        ranked: Whether the rank changes its number of parameters.
        own_weights: Whether it changes the weights that it adapts when it is inserted.
        bounded: Whether the rank is at most the smallest width of the layers; a larger one is cut to it.
        decay: Whether 0, which weight decay draws to, is no change of the model.
    """

    config: str
    fields: Callable[[Sizes], dict[str, Any]]
    lr: float | None = None
    ranked: bool = True
    own_weights: bool = False
    bounded: bool = False
    decay: bool = True


def _lora(**more: Any) -> Callable[[Sizes], dict[str, Any]]:
    return lambda sizes: {"r": sizes.rank, "lora_alpha": sizes.alpha, **more}


def _ranked(**more: Any) -> Callable[[Sizes], dict[str, Any]]:
    return lambda sizes: {"r": sizes.rank, **more}


def _scaled(name: str = "alpha", **more: Any) -> Callable[[Sizes], dict[str, Any]]:
    return lambda sizes: {"r": sizes.rank, name: sizes.alpha, **more}


def _adaptive(sizes: Sizes) -> dict[str, Any]:
    """Half as much again of the rank to begin with, cut from a tenth to seven tenths of the steps."""
    schedule = {"total_step": sizes.steps, "tinit": sizes.steps // 10, "tfinal": 3 * sizes.steps // 10}
    return {"init_r": ceil(1.5 * sizes.rank), "target_r": sizes.rank, "lora_alpha": sizes.alpha, **schedule}


VARIANTS: dict[VariantName, Variant] = {
    "lora": Variant("LoraConfig", _lora()),
    "rslora": Variant("LoraConfig", _lora(use_rslora=True)),
    "dora": Variant("LoraConfig", _lora(use_dora=True), decay=False),
    "pissa": Variant("LoraConfig", _lora(init_lora_weights="pissa"), own_weights=True, bounded=True, decay=False),
    "olora": Variant("LoraConfig", _lora(init_lora_weights="olora"), own_weights=True, bounded=True, decay=False),
    "lora_fa": Variant("LoraConfig", _lora()),
    "adalora": Variant("AdaLoraConfig", _adaptive),
    "vera": Variant("VeraConfig", _ranked(), lr=1e-2),
    "pvera": Variant("PveraConfig", _ranked(), lr=1e-2),
    "tinylora": Variant("TinyLoraConfig", lambda sizes: {"u": sizes.rank}, lr=1e-2),
    "unilora": Variant("UniLoraConfig", lambda sizes: {"r": 8, "theta_d_length": sizes.low_rank}, lr=1e-2),
    "vblora": Variant("VBLoRAConfig", lambda sizes: {"r": sizes.rank, "vector_length": sizes.common}, decay=False),
    # More bases of a lower rank each: together they have the full rank.
    "randlora": Variant("RandLoraConfig", lambda sizes: {"r": ceil(min(map(min, sizes.layers)) / sizes.rank)}),
    "frod": Variant("FrodConfig", lambda sizes: {"progressbar": False}, ranked=False, own_weights=True),
    "loha": Variant("LoHaConfig", _scaled()),
    "lokr": Variant("LoKrConfig", _scaled()),
    "hira": Variant("HiraConfig", _ranked()),
    "gralora": Variant("GraloraConfig", _scaled(gralora_k=1)),
    "glora": Variant("GloraConfig", _ranked()),
    "lily": Variant("LilyConfig", _ranked()),
    "peanut": Variant("PeanutConfig", _ranked()),
    "delora": Variant("DeloraConfig", _ranked()),
    "deft": Variant("DeftConfig", _ranked(), own_weights=True, bounded=True, decay=False),
    "oft": Variant("OFTConfig", lambda sizes: {"r": 0, "oft_block_size": sizes.inputs_divisor(max(2, sizes.rank))}),
    "boft": Variant("BOFTConfig", lambda sizes: {"boft_block_size": sizes.inputs_divisor(max(2, sizes.rank))}),
    # Householder reflections cancel in pairs at the start.
    "hra": Variant("HRAConfig", lambda sizes: {"r": sizes.rank + sizes.rank % 2}, decay=False),
    "psoft": Variant("PsoftConfig", lambda sizes: {
        "r": sizes.rank, "psoft_alpha": sizes.rank,
    }, own_weights=True, bounded=True),
    "road": Variant("RoadConfig", lambda sizes: {"group_size": sizes.outputs_divisor(64)}, ranked=False, decay=False),
    "miss": Variant("MissConfig", _ranked()),
    "shira": Variant("ShiraConfig", _ranked()),
    "supertuning": Variant("SupertuningConfig", lambda sizes: {"sparsity": 1 - sizes.share}),
    "adamss": Variant("AdamssConfig", lambda sizes: {"subspace_rank": sizes.rank}),
    "c3a": Variant("C3AConfig", lambda sizes: {
        "block_size": _divisor(sizes.common, sizes.common // sizes.rank), "init_weights": True,
    }, lr=1e-2),
    "fourierft": Variant(
        "FourierFTConfig", lambda sizes: {"n_frequency": sizes.low_rank, "init_weights": True}, lr=1e-2
    ),
    "waveft": Variant("WaveFTConfig", lambda sizes: {"n_frequency": sizes.low_rank}),
    "ln_tuning": Variant("LNTuningConfig", lambda sizes: {}, ranked=False, decay=False),
    "beft": Variant("BeftConfig", lambda sizes: {}, ranked=False),
    "bitfit": Variant("", lambda sizes: {}, ranked=False, decay=False),
}  # fmt: skip
"""Where a variant has no rank, ``rank`` counts the bases of randlora, the directions of tinylora, and coefficients
as LoRA of that rank would have in the smallest layer (unilora, fourierft, waveft), or the same share of every layer's
weights (supertuning); it is the rank of each subspace of adamss, the size of blocks of oft and boft, and divides the
blocks of c3a. ``_peft_variants.VARIANTS`` has a variant for each name.
"""
assert VARIANTS.keys() == set(get_args(VariantName))
