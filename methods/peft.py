"""Adapters of peft's tuners in a language model, one of many variants, sized by a budget of parameters."""

from typing import ClassVar

from methods._adapters import AdapterConfig, AdapterMethod


class Peft(AdapterMethod):
    """Adapters of a variant in a copy of the language model; see LMFineTune for what they learn.

    They stand where peft puts LoRA in the model's family, such as on query and value projections; in a family that
    peft does not know, on all linear layers. ``ln_tuning``, ``beft`` and ``bitfit`` train what their names say: scales
    of norms, added biases of values, and the model's own biases. All but ``unilora`` and ``vblora`` start as no change
    of the model; FourierFT's and C3A's coefficients therefore start at 0, not at random.

    - ``rslora``: updates times alpha / sqrt(rank). ``dora``: ``m (W + B A) / |W + B A|`` by columns, with m trained
      from the columns' lengths. ``pissa``, ``olora``: A and B start as the largest singular vectors, or by QR, and W
      as the rest. ``lora_fa``: A is frozen.
    - ``adalora``: ``P diag(s) Q`` with ``rank`` and a half directions to begin with, cut to ``rank`` on average, the
      least important first, between a tenth and seven tenths of the steps; its penalty keeps P and Q orthogonal.
    - ``vera``: scales of a random B and A that all layers share.
    """

    Config: ClassVar[type[AdapterConfig]] = AdapterConfig
    config: AdapterConfig
    source = (
        "Mangrulkar et al. 2022, PEFT: State-of-the-art Parameter-Efficient Fine-Tuning methods, "
        "https://github.com/huggingface/peft; the papers of the variants are in docs/methods.md"
    )


PLUGIN = Peft
