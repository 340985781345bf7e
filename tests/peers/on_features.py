"""Classifiers on the features of few-shot episodes: a batch of episodes here, scikit-learn's estimators in a loop."""

from collections.abc import Callable
from typing import Any

import numpy as np
import sklearn
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch.utils.data import DataLoader

from bench.contracts import ForwardMethod, Support
from bench.engine.lightning_module import ForwardAdaptation, GradientAdaptation
from bench.engine.trainer import DeviceOptions
from bench.testing.doubles import CosineBackbone
from bench.testing.problems import Problem, episodes_of, problem
from methods.gda import Gda
from methods.linear_probe import LinearProbe
from methods.ridge import RidgeOnFeatures
from tests.peers.row import Check, Place, Ready, Row

EPISODES, WAYS, SHOTS, DIM = 600, 10, 5, 1024
EQUAL = 0.9995
"""Least share of equal predictions: two estimates of one minimum differ by rounding, and so may a tie."""


def solved(method: Any, support: Support) -> None:
    """Adapt a method as a run does: ``Trainer.fit`` on the whole support set."""
    wrapped = ForwardAdaptation if isinstance(method, ForwardMethod) else GradientAdaptation
    steps = 1 if isinstance(method, ForwardMethod) else method.steps
    trainer = DeviceOptions(accelerator="cpu").trainer(max_steps=steps if steps > 1 else -1, max_epochs=1)
    trainer.fit(wrapped(method), DataLoader([support] * steps, batch_size=None))


def scores(kind: Any, given: Problem, **config: Any) -> Tensor:
    """``[episode, query, way]`` of a method on all episodes, as many at once as a run takes."""
    backbone, found = CosineBackbone(given.shape.key_dim, given.shape.value_dim), []
    for start in range(0, given.shape.n_episodes, kind.episodes_at_once):
        part = episodes_of(given, slice(start, start + kind.episodes_at_once))
        method = kind(kind.Config(**config), backbone, part.shape)
        solved(method, part.support)
        with torch.no_grad():
            found.append(method.predict(part.query))
    return torch.cat(found)


def episodes(count: int) -> Problem:
    """Few-shot episodes of clustered unit keys."""
    return problem(n_episodes=count, n_way=WAYS, n_shot=SHOTS, n_query=SHOTS, key_dim=DIM, value_dim=DIM)


def same_predictions(ours: Tensor, peer: np.ndarray) -> list[Check]:
    """The share of equal predictions over the episodes that the peer did."""
    equal = (ours[: len(peer)].argmax(dim=-1).numpy() == peer).mean()
    return [Check("predictions", bool(equal >= EQUAL), f"{equal:.2%} of {peer.size:,} predictions equal")]


def with_sklearn(
    kind: Any, config: dict[str, Any], fit: Callable[[np.ndarray, np.ndarray], Callable[[np.ndarray], np.ndarray]],
    alone: int = EPISODES, blas_threads: int | None = 1,
) -> Callable[[Place], Ready]:  # fmt: skip
    """Inputs of a row against a loop of scikit-learn's estimator over ``alone`` of the episodes.

    BLAS has one thread where matrices are so small that its threads would wait for each other; None for all cores.
    """

    def make(place: Place) -> Ready:
        count = place.size(EPISODES, 8)
        timed, given = min(alone, count), episodes(count)
        keys, labels, queries = (
            tensor.numpy() for tensor in (given.support.keys, given.support.labels, given.query.keys)
        )

        def peer() -> np.ndarray:
            with threadpool_limits(blas_threads, user_api="blas"):
                return np.stack([fit(keys[number], labels[number])(queries[number]) for number in range(timed)])

        return Ready(
            ours=lambda: scores(kind, given, **config),
            peer=peer,
            compare=same_predictions,
            rounds=3,
            warm=lambda: scores(kind, episodes_of(given, slice(0, 64)), **config),
            peer_share=timed / count,
            note=f"{timed} of scikit-learn's {count} fits were timed." if timed < count else "",
        )

    return make


C = 1.0
"""scikit-learn's default; the probe's weight decay is 1 / (C N) for N items."""
SHRINKAGE = DIM / (DIM + WAYS * SHOTS - 1)
"""scikit-learn's ``(1 - s) S + s tr(S) / d I`` is then GDA's ``(N - 1) S + tr(S) I``, up to a factor."""


def logistic_regression(keys: np.ndarray, labels: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """scikit-learn's own solver, to a tolerance at which it has reached the minimum too.

    By default it stops so early that one prediction in 200 differs.
    """
    fitted = LogisticRegression(C=C, tol=1e-6, max_iter=1000).fit(keys.astype(np.float64), labels)
    return lambda queries: fitted.predict(queries.astype(np.float64))


def kernel_ridge(keys: np.ndarray, labels: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """On one-hot labels, in the dual, which is its fast form for fewer items than dimensions."""
    fitted = KernelRidge(alpha=1.0).fit(keys, np.eye(WAYS, dtype=keys.dtype)[labels])
    return lambda queries: fitted.predict(queries).argmax(axis=-1)


def discriminant_analysis(keys: np.ndarray, labels: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """By the faster of the two solvers that shrink, in the faster of the two types."""
    fitted = LinearDiscriminantAnalysis(solver="eigen", shrinkage=SHRINKAGE).fit(keys.astype(np.float64), labels)
    return lambda queries: fitted.predict(queries.astype(np.float64))


def row(name: str, work: str, make: Callable[[Place], Ready], reason: str) -> Row:
    """A row against scikit-learn."""
    return Row(
        name=name, peer=f"scikit-learn {sklearn.__version__}", goal=10, reason=reason, checks=("predictions",),
        work=f"{work}, {EPISODES} episodes, {WAYS}-way {SHOTS}-shot, d = {DIM:,}", make=make,
    )  # fmt: skip


ROWS = (
    row(
        "logistic_regression",
        "`linear_probe` against `LogisticRegression`",
        with_sklearn(LinearProbe, {"weight_decay": 1 / (C * WAYS * SHOTS), "steps": 50}, logistic_regression),
        "Both reach the same minimum; scikit-learn needs some 7 iterations of L-BFGS an episode at this penalty, "
        "and ours 50 steps for all episodes together, before and after which keys are multiplied in float64.",
    ),
    row(
        "kernel_ridge",
        "`ridge` with lam = 1 against `KernelRidge`",
        with_sklearn(RidgeOnFeatures, {"lam": 1.0}, kernel_ridge),
        "`KernelRidge` solves one 50 x 50 system in float32, in two thirds of a millisecond; ours widens 1,024 numbers "
        "of each key to float64 and multiplies them twice, which is bound by memory and narrow products.",
    ),
    row(
        "lda",
        "`gda` without prior against `LinearDiscriminantAnalysis` with the same shrinkage",
        with_sklearn(Gda, {"prior": "none"}, discriminant_analysis, alone=30, blas_threads=None),
        "scikit-learn factorises a 1,024 x 1,024 covariance for each episode, ours the 50 x 50 matrix of its items.",
    ),
)
