"""A budget of time, held while a gradient method trains."""

import time
from dataclasses import replace

import pytest
import torch
from lightning import Trainer

from bench import registry
from bench.contracts import GradientMethod, Kind
from bench.engine.budget_callback import BudgetCallback
from bench.engine.lightning_module import GradientAdaptation
from bench.engine.trainer import DeviceOptions, quiet_lightning
from bench.meters.tokens import TokenMeter
from bench.spec.budget import Budget
from bench.testing.doubles import backbone_for
from bench.testing.problems import episodes_of, problem

pytestmark = pytest.mark.alone
LIMIT = 0.4
LIMITS = {"ape_t": 0.8, "fast_slow": 0.8}
"""Seconds of training of methods whose preparation or single steps take some tenths of a second."""
METHODS = {
    name: registry.method_class(name) for base in registry.find("methods") for name in registry.names_by_site(base)
}
GRADIENT = [name for name, cls in METHODS.items() if issubclass(cls, GradientMethod)]
GIVEN = episodes_of(problem(n_shot=15, key_dim=16, sizes=[60, 60, 60]), slice(0, 1))


def made(name, **config):
    cls = METHODS[name]
    # More steps than there is time for.
    field = "steps" if "steps" in cls.Config.model_fields else "epochs"
    bound = next(one.le for one in cls.Config.model_fields[field].metadata if hasattr(one, "le"))
    kind = Kind.IMAGE_CLASSIFICATION if Kind.IMAGE_CLASSIFICATION in cls.kinds else Kind.TEXT_CLASSIFICATION
    shape = replace(GIVEN.shape, kind=kind)
    return cls(cls.Config(**{field: bound, **config}), backbone_for(cls), shape)


def fit(method, holding):
    quiet_lightning()
    module = GradientAdaptation(method)
    trainer: Trainer = DeviceOptions(accelerator="cpu").trainer(
        callbacks=[holding], max_steps=method.steps, max_epochs=-1
    )

    class Endless:
        def __iter__(self):
            while True:
                yield GIVEN.support

    trainer.fit(module, Endless())
    return module, trainer


@pytest.fixture(scope="module", autouse=True)
def warm():
    """The first training of a process also makes what is made once."""
    fit(made("linear_probe", steps=2), BudgetCallback(Budget(), TokenMeter(None), 1))


@pytest.mark.parametrize("name", GRADIENT)
def test_training_stops_within_a_step_of_its_time(name):
    torch.manual_seed(0)
    limit = LIMITS.get(name, LIMIT)
    # Tip-Adapter-F chooses its weights after the last step.
    closing = 0.2 if name == "tip_adapter_f" else 0.0
    holding = BudgetCallback(Budget(adapt_seconds=limit), TokenMeter(None), 1, closing_seconds=closing)
    module, trainer = fit(made(name), holding)
    assert 1 < trainer.global_step < module.method.steps
    assert module.adapting.cost.seconds <= limit + holding.step_seconds + 0.05
    # Stopped for its time and not long before it.
    assert module.adapting.cost.seconds >= 0.5 * limit


def test_making_an_optimizer_is_inside_the_clock():
    method, begun = made("linear_probe"), []
    optimizer, loss = method.optimizer, method.loss

    def slowly():
        time.sleep(0.3)
        return optimizer()

    def noting(support):
        begun.append(time.monotonic())
        return loss(support)

    method.optimizer, method.loss = slowly, noting
    holding = BudgetCallback(Budget(adapt_seconds=0.6), TokenMeter(None), 1)
    module, trainer = fit(method, holding)
    assert trainer.global_step > 1
    assert module.adapting.cost.seconds <= 0.6 + holding.step_seconds + 0.05
    # What is left of the limit after the optimizer was made.
    assert begun[-1] - begun[0] <= 0.3 + holding.step_seconds + 0.05


def test_validation_is_inside_the_clock():
    method = made("linear_projection")
    validated = []
    validate = method.validate

    def slowly():
        time.sleep(0.1)
        validated.append(method._epoch)
        validate()

    method.validate = slowly
    holding = BudgetCallback(Budget(adapt_seconds=0.5), TokenMeter(None), 1, closing_seconds=0.1)
    module, trainer = fit(method, holding)
    assert 2 <= len(validated) <= 5
    assert module.adapting.cost.seconds >= 0.1 * len(validated)
    assert module.adapting.cost.seconds <= 0.5 + holding.step_seconds + 0.05
    # The last weights were looked at too, wherever in an epoch the time was up.
    assert module.validated_at == trainer.global_step


def test_the_best_validated_weights_count():
    method = made("linear_projection", epochs=3)
    holding = BudgetCallback(Budget(), TokenMeter(None), 1)
    fit(method, holding)
    assert method.best.shape == method.projection.shape
    assert method._epoch == 3


def test_tokens_are_counted_and_held():
    method = made("ia3", batch_size=4)
    tokens = TokenMeter(method.backbone.causal_lm)
    holding = BudgetCallback(Budget(tokens=2000), tokens, 1)
    with tokens:
        _, trainer = fit(method, holding)
    assert 1000 < tokens.count <= 2000
    assert trainer.global_step < method.steps
