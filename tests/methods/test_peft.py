"""Variants of adapters in tiny decoders: their start, counts, merged weights, and ranks by a budget of parameters."""

from collections.abc import Callable
from typing import Any, get_args

import peft
import pytest
import torch

from bench.backbones.hf import CausalLM
from bench.contracts import Kind, UsageError
from bench.costs.budget_fit import fit_parameters
from bench.testing.driver import adapt
from bench.testing.tiny_models import save_model
from bench.toolkit.sizing import largest_size
from methods._peft_variants import VARIANTS, VariantName
from methods.peft import Peft
from tests.helpers.answered_texts import given

WIDTHS = [(32, 32), (32, 16)] * 2
"""Of query and value projections of both blocks."""
IN, OUT = sum(inputs for inputs, _ in WIDTHS), sum(outputs for _, outputs in WIDTHS)
COUNTS: dict[str, Callable[[int], int]] = {
    **dict.fromkeys(["lora", "rslora", "pissa", "olora", "shira", "hira", "deft"], lambda r: r * (IN + OUT)),
    "dora": lambda r: r * (IN + OUT) + OUT,
    "lora_fa": lambda r: r * OUT,
    "miss": lambda r: r * OUT,
    "hra": lambda r: r * IN,
    "vera": lambda r: 4 * r + OUT,
    "loha": lambda r: 2 * r * (IN + OUT),
    "adalora": lambda r: 3 * r // 2 * (IN + OUT + 4),
    "supertuning": lambda r: r * (2 * 48 + 2 * 96),
    "fourierft": lambda r: 4 * r * 48,
    "waveft": lambda r: 4 * r * 48,
    "oft": lambda r: IN * (r - 1) // 2,
    "c3a": lambda r: 2 * (32 * 32 + 32 * 16) * r // 16,
    "ln_tuning": lambda r: 5 * 32,
}
"""Numbers of trained parameters of a rank."""
NEARLY = {"unilora", "vblora"}
"""Start close to no change, from a random start."""
UNMERGED = {"lily", "beft"}
"""peft cannot merge them."""
ON_LLAMA = sorted(set(VARIANTS) - {"bitfit"})


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> CausalLM:
    return CausalLM(save_model(tmp_path_factory.mktemp("llama"), "llama", context=96))


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> CausalLM:
    return CausalLM(save_model(tmp_path_factory.mktemp("gpt2"), "gpt2", context=96))


PROBLEM = given(Kind.TEXT_CLASSIFICATION)


def made(backbone: CausalLM, variant: str, **config: Any) -> Peft:
    return Peft(Peft.Config(variant=variant, **config), backbone, PROBLEM.shape)  # type: ignore[arg-type]


def starts_learns_and_merges(backbone: CausalLM, variant: str) -> Peft:
    weights = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    method = made(backbone, variant, steps=5)
    with torch.no_grad():
        start = method.predict(PROBLEM.query)
        unchanged = backbone.answer(PROBLEM.query, PROBLEM.shape.kind, PROBLEM.shape.protocol)
        first = float(method.batch_loss(PROBLEM.support))
    tolerance = 0.05 if variant in NEARLY else 1e-4
    torch.testing.assert_close(start, unchanged, rtol=0, atol=tolerance)
    adapt(method, PROBLEM.support)
    with torch.no_grad():
        assert float(method.batch_loss(PROBLEM.support)) < first
        assert all(torch.equal(tensor, weights[name]) for name, tensor in backbone.state_dict().items())
        learnt = method.predict(PROBLEM.query)
        if variant not in {*UNMERGED, "bitfit"}:
            method._tuner.merge_and_unload()
            torch.testing.assert_close(method.predict(PROBLEM.query), learnt, rtol=1e-4, atol=1e-4)
            backbone.load_state_dict(weights)  # merging is peft's, into weights that the copy shares
    return method


@pytest.mark.slow
@pytest.mark.parametrize("variant", ON_LLAMA)
def test_a_variant_starts_as_no_change_learns_and_merges(llama: CausalLM, variant: str) -> None:
    fresh = made(llama, variant)
    count = fresh.trainable_params()
    if variant in COUNTS:
        assert count == COUNTS[variant](8)
    method = starts_learns_and_merges(llama, variant)
    assert method.notes["trained"] == count
    assert fresh.state_bytes() == 4 * count


def test_bitfit_trains_the_models_own_biases(gpt2: CausalLM) -> None:
    biases = sum(each.numel() for name, each in gpt2.model.named_parameters() if name.endswith("bias"))
    assert starts_learns_and_merges(gpt2, "bitfit").trainable_params() == biases


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["lora", "dora", "vera", "adalora", "oft", "psoft", "ln_tuning"])
def test_auto_is_the_largest_rank_within_the_parameters(llama: CausalLM, variant: str) -> None:
    """By the field, and by a budget; each variant has its own relation of rank and parameters."""
    limit = 1000
    method = made(llama, variant, rank="auto", parameters=limit)
    count, rank = method.trainable_params(), method.notes.get("rank", 8)
    assert count <= limit
    if VARIANTS[variant].ranked:  # type: ignore[index]
        more = [made(llama, variant, rank=rank + extra).trainable_params() for extra in (1, 2, 5)]
        assert all(each > limit or each == count for each in more)
    config, violation = fit_parameters(Peft, Peft.Config(variant=variant), llama, PROBLEM.shape, limit)  # type: ignore[arg-type]
    assert violation is None
    assert Peft(config, llama, PROBLEM.shape).trainable_params() == count  # type: ignore[arg-type]


@pytest.mark.slow
def test_auto_has_at_most_the_parameters_of_lora_of_rank_8(llama: CausalLM) -> None:
    assert made(llama, "lora", rank="auto").notes["rank"] == 8
    assert made(llama, "dora", rank="auto").notes["rank"] == 7


@pytest.mark.parametrize("steps", [(1,), (7, 7, 7, 9, 9, 30), tuple(range(3, 300, 3))])
def test_the_size_with_the_most_parameters_within_a_limit_is_found(steps: tuple[int, ...]) -> None:
    for limit in range(310):
        fitting = [size for size, count in enumerate(steps, 1) if count <= limit]
        expected = steps.index(steps[fitting[-1] - 1]) + 1 if fitting else 0
        assert largest_size(lambda size: steps[size - 1], limit, len(steps)) == expected


def test_adalora_takes_directions_away(llama: CausalLM) -> None:
    method = made(llama, "adalora", rank=2, steps=10, lr=0.05)
    adapt(method, PROBLEM.support)
    scales = [each for name, each in method.adapted.named_parameters() if "lora_E" in name]
    assert sum(each.numel() for each in scales) == 12
    assert sum(int((each == 0).sum()) for each in scales) == 4


def test_what_a_variant_cannot_do_is_one_line(llama: CausalLM, gpt2: CausalLM, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"rank=auto needs parameters=320 or more for variant=dora .*, got 10; raise"):
        made(llama, "dora", rank="auto", parameters=10)
    with pytest.raises(UsageError, match="variant=bitfit trains biases, and LlamaForCausalLM has none; use"):
        made(llama, "bitfit")
    with pytest.raises(
        UsageError, match=r"variant=miss of rank 8 cannot stand in GPT2LMHeadModel: .*; choose"
    ) as shown:
        made(gpt2, "miss")
    assert "\n" not in str(shown.value)
    monkeypatch.delattr(peft, "MissConfig")
    with pytest.raises(UsageError, match=r"variant=miss needs a peft with MissConfig, and peft .* has none; upgrade"):
        made(llama, "miss")
    with pytest.raises(ValueError, match="variant"):
        Peft.Config(variant="no such")  # type: ignore[arg-type]
    assert set(get_args(VariantName)) == set(VARIANTS)
