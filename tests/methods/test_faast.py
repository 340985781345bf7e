"""FAAST's solvers against independent float64 solutions, and what they keep."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge
from torch import Tensor

from bench.testing.driver import adapted
from bench.testing.problems import problem
from bench.toolkit.least_squares import dual_factors, primal_weights
from methods._faast_features import FaastOnFeatures
from methods._fast_weights import FastWeights, Solver


def reference(keys: Tensor, values: Tensor, rtol: float) -> Tensor:
    """``W = V^T pinv(K)^T [dim_v, dim_k]`` of one episode by NumPy's float64 SVD."""
    inverse = np.linalg.pinv(keys.double().numpy(), rcond=rtol)
    return torch.from_numpy(values.double().numpy().T @ inverse.T)


def compile_pairs(
    keys: Tensor, values: Tensor, mask: Tensor | None = None, *, at_once: int = 7, **config: Any
) -> FastWeights:
    """Fast weights of pairs ``[episode, item, dim]`` streamed in batches."""
    mask = torch.ones(keys.shape[:2], dtype=torch.bool) if mask is None else mask
    memory = FastWeights(len(keys), keys.shape[-1], values.shape[-1], n_items=keys.shape[1], **config)
    for part in zip(*(torch.split(each, at_once, 1) for each in (keys, values, mask)), strict=True):
        memory.observe(*part)
    memory.solve()
    return memory


def whole(memory: FastWeights) -> Tensor:
    """All of W ``[episode, dim_v, dim_k]``, read one key axis at a time."""
    n_episodes, dim = len(memory.weights), memory.weights.shape[-1] if memory.basis is None else memory.basis.shape[-1]
    return memory.read(torch.eye(dim).expand(n_episodes, -1, -1)).mT


def error(ours: Tensor, expected: Tensor) -> float:
    """Relative Frobenius error."""
    return float((ours.double() - expected).norm() / expected.norm())


def with_spectrum(n_items: int, dim: int, singular: Tensor, seed: int = 0) -> Tensor:
    """A float64 matrix ``[n_items, dim]`` with the given singular values."""
    rng = torch.Generator().manual_seed(seed)
    left, right = (
        torch.linalg.qr(torch.randn(rows, len(singular), generator=rng, dtype=torch.float64))[0]
        for rows in (n_items, dim)
    )
    matrix: Tensor = (left * singular) @ right.mT
    return matrix


@pytest.mark.parametrize("solver", ["exact", "pinv"])
@pytest.mark.parametrize("n_items", [5, 15, 16, 200], ids=["dual-factors", "dual-compiled", "square", "primal"])
def test_equals_float64_pseudo_inverse(n_items: int, solver: Solver) -> None:
    rng = torch.Generator().manual_seed(1)
    keys, values = torch.randn(3, n_items, 16, generator=rng), torch.randn(3, n_items, 12, generator=rng)
    sizes = [n_items, max(2, n_items // 2), n_items - 1]
    mask = torch.arange(n_items) < torch.tensor(sizes)[:, None]
    weights = whole(compile_pairs(keys, values, mask, solver=solver))
    for episode, size in enumerate(sizes):
        expected = reference(keys[episode, :size], values[episode, :size], size**-0.8)
        assert error(weights[episode], expected) < (1e-6 if solver == "exact" else 1e-4)


def test_equals_ridge_in_the_limit_of_no_cut_off() -> None:
    rng = torch.Generator().manual_seed(2)
    keys, values = torch.randn(1, 400, 16, generator=rng), torch.randn(1, 400, 12, generator=rng)
    ridge = Ridge(alpha=1e-9, fit_intercept=False, solver="cholesky").fit(keys[0].double(), values[0].double())
    assert error(whole(compile_pairs(keys, values, alpha=4.0))[0], torch.from_numpy(ridge.coef_)) < 1e-6


def test_exact_solver_holds_where_the_published_one_fails() -> None:
    # Singular values down to 1e-5 of the largest, all to be kept (the cut-off is 4e-6): float32 resolves
    # the smallest to a per cent or so.
    keys = with_spectrum(1000, 64, torch.logspace(0, -5, 64, dtype=torch.float64)).float()[None]
    values = torch.randn(1, 1000, 12, generator=torch.Generator().manual_seed(3))
    expected = reference(keys[0], values[0], 1000**-1.8)
    assert error(whole(compile_pairs(keys, values, alpha=1.8, at_once=300))[0], expected) < 1e-5
    assert error(whole(compile_pairs(keys, values, alpha=1.8, solver="pinv"))[0], expected) > 1e-4


def test_dual_factors_hold_in_float32() -> None:
    # A = pinv(K K^T) V kept beside K would be off by 9e-5 here, having lost the condition number of 1e4 on the way.
    keys = with_spectrum(20, 200, torch.logspace(0, -4, 20, dtype=torch.float64)).float()[None]
    values = torch.randn(1, 20, 150, generator=torch.Generator().manual_seed(4))
    memory = compile_pairs(keys, values, alpha=4.0)
    assert memory.basis is not None
    assert error(whole(memory)[0], reference(keys[0], values[0], 20**-4.0)) < 1e-6


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n_items=st.integers(1, 24),
    dim=st.integers(1, 24),
    rank=st.integers(1, 24),
    repeated=st.integers(0, 5),
    zero=st.integers(0, 5),
)
def test_solvers_equal_numpy_on_any_shape(
    seed: int, n_items: int, dim: int, rank: int, repeated: int, zero: int
) -> None:
    """Low rank, repeated rows and rows of 0 included; the primal and the dual way both, whatever the shape."""
    rng = np.random.default_rng(seed)
    keys = rng.standard_normal((n_items, rank)) @ rng.standard_normal((rank, dim))
    keys = np.concatenate([keys, keys[rng.integers(n_items, size=repeated)], np.zeros((zero, dim))])
    values = rng.standard_normal((len(keys), 3))
    # Cut where the singular values leave the widest gap: next to one of them, rounding may decide either way.
    singular = np.linalg.svd(keys, compute_uv=False)
    assume(singular[0] > 0)
    ladder = np.append(np.maximum(singular / singular[0], 1e-12), 1e-12)
    ladder = ladder[: int((ladder > 1e-4).sum()) + 1]
    widest = int(np.argmax(ladder[:-1] / ladder[1:]))
    rtol = math.sqrt(ladder[widest] * ladder[widest + 1])
    assume(ladder[widest] / ladder[widest + 1] > 1.01)

    expected = reference(torch.from_numpy(keys), torch.from_numpy(values), rtol)
    batched, targets = torch.from_numpy(keys)[None], torch.from_numpy(values)[None]
    cut = torch.tensor([rtol], dtype=torch.float64)
    primal = primal_weights(batched.mT @ batched, batched.mT @ targets, cut)[0]
    coefficients, basis = dual_factors(batched, targets, cut)
    torch.testing.assert_close(primal, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))
    torch.testing.assert_close(
        (coefficients.mT @ basis)[0], expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max())
    )


@pytest.mark.parametrize("n_shot", [3, 15], ids=["dual", "primal"])
@pytest.mark.parametrize("solver", ["exact", "pinv"])
@pytest.mark.parametrize("prior_strength", [0.0, 4.0])
def test_an_episode_without_examples_answers_the_prior(prior_strength: float, solver: Solver, n_shot: int) -> None:
    given = problem(n_shot=n_shot, sizes=[0, 4 * n_shot, 1], prior_strength=prior_strength)
    method = adapted(FaastOnFeatures, given, solver=solver)
    expected = method.backbone.class_logits(given.query.prior, given.query.classes)
    answer = method.predict(given.query)
    torch.testing.assert_close(answer[0], expected[0])
    assert not torch.allclose(answer[1], expected[1])


def test_config_overrides_the_prior_strength() -> None:
    given = problem(prior_strength=4.0)
    assert torch.equal(
        adapted(FaastOnFeatures, given, prior_strength=7.0).predict(given.query),
        adapted(FaastOnFeatures, problem(prior_strength=7.0)).predict(given.query),
    )


def test_sums_replace_pairs_from_key_dim_on() -> None:
    few, many = problem(n_shot=3, key_dim=16), problem(n_shot=4, key_dim=16)
    assert not adapted(FaastOnFeatures, few).make_memory().streams
    assert adapted(FaastOnFeatures, many).make_memory().streams
    assert not adapted(FaastOnFeatures, many, solver="pinv").make_memory().streams


@pytest.mark.parametrize(("n_items", "factored"), [(4, True), (12, False), (60, False)])
def test_keeps_the_smaller_form_in_float32(n_items: int, factored: bool) -> None:
    rng = torch.Generator().manual_seed(5)
    keys, values = torch.randn(2, n_items, 16, generator=rng), torch.randn(2, n_items, 12, generator=rng)
    memory = compile_pairs(keys, values, alpha=4.0)
    kept = dict(memory.named_buffers())
    assert all(tensor.dtype == torch.float32 for tensor in kept.values())
    assert sum(tensor.numel() for tensor in kept.values()) == 2 * (n_items * (16 + 12) if factored else 16 * 12)
    assert not memory._sums
    assert not memory._pairs
