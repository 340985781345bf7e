"""What a sweep's trials cost: in closed form, and by adapting to what is not held out."""

from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from bench.engine.trainer import DeviceOptions
from bench.testing.doubles import CosineBackbone
from bench.testing.driver import adapted
from bench.testing.items import columns, masked
from bench.testing.problems import problem
from methods._faast_features import FaastOnFeatures, FaastOnFeaturesConfig
from sweeps.definition import SweepSpec
from sweeps.study import Sweep
from sweeps.trials import TuningData
from tests.perf.cases import DIM, WAY, Case


def faast_trials(n_trials: int = 100, shots: int = 5) -> Case:
    """Trials of FAAST on one support set, 10-way 5-shot, each example left out; one trial is timed the other way."""
    given = problem(n_episodes=1, n_way=WAY, n_shot=shots, key_dim=DIM, value_dim=DIM)
    backbone = CosineBackbone(DIM, DIM)
    # Nothing is cut off at these exponents, so that both ways fit the same maps.
    configs = [
        FaastOnFeaturesConfig(alpha=3 + trial / n_trials, prior_strength=float(trial)) for trial in range(n_trials)
    ]

    def ours() -> Tensor:
        trials = FaastOnFeatures.leave_one_out(backbone, given.shape, given.support)
        return torch.stack([trials.scores(config) for config in configs])

    def other() -> Tensor:
        answers = []
        for item in range(WAY * shots):
            mask = given.support.mask.clone()
            mask[:, item] = False
            left = masked(given.support, mask)
            method = adapted(
                FaastOnFeatures, type(given)(left, given.query, given.shape), backbone, **configs[0].model_dump()
            )
            answers.append(method.predict(columns(given.support, slice(item, item + 1))))  # type: ignore[arg-type]
        return torch.cat(answers, dim=1)

    def error() -> float:
        expected = other()
        return float((ours()[0] - expected).norm() / expected.norm())

    return Case(
        what=f"{n_trials} trials of FAAST, 10-way 5-shot, d = 1,024, each example left out",
        against="adapting to the other examples, one by one (one trial timed)",
        promise=50,
        ours=ours,
        other=other,
        other_share=1 / n_trials,
        error=error,
        error_of="the scores of methods adapted without each example",
    )


def faast_study(n_trials: int = 200, alone: int = 20) -> Case:
    """A study of FAAST on cached features of digits, sampler and journal included."""
    folder = TemporaryDirectory()
    numbers = count()
    ground = TuningData.of(SweepSpec(task="digits", method="faast"), None, DeviceOptions(accelerator="cpu"))

    def study(trials: int, **fields: str) -> Sweep:
        spec = SweepSpec(task="digits", method="faast", trials=trials, **fields)  # type: ignore[arg-type]
        made = Sweep(spec, ground, Path(folder.name) / str(next(numbers)))
        made.run()
        return made

    study(1)  # encodes what is not cached
    return Case(
        what=f"a study of FAAST on cached features: {n_trials} trials on 16 support sets of 5 shots of digits",
        against=f"cross-validation in 5 folds ({alone} trials timed)",
        promise=2,
        ours=lambda: study(n_trials),
        other=lambda: study(alone, validation="cross_validation"),
        other_share=alone / n_trials,
    )


CASES = (faast_trials, faast_study)
