"""Spaces come from configs; a wrong space is an error in one line."""

import re
from types import SimpleNamespace
from typing import Annotated, Literal

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from pydantic import Field

from bench import registry
from bench.contracts import MethodConfig, Tune, UsageError
from sweeps.space import NothingToTuneError, Range, space_of
from sweeps.trials import Trials
from tests.helpers.adaptation import own_methods
from tests.helpers.places import ROOT


class Config(MethodConfig):
    rate: Annotated[float | None, Tune(1e-3, 1.0, log=True)] = Field(default=None, gt=0)
    share: Annotated[float, Tune()] = Field(default=0.5, ge=0, le=1)
    number: Annotated[int, Tune(high=8)] = Field(default=4, ge=1)
    kind: Annotated[Literal["a", "b"], Tune()] = "a"
    switch: Annotated[bool, Tune()] = False
    window: int = Field(default=3, ge=1)


def space(fixed=None, changes=None, config=Config):
    ranges = {name: Range(**change) for name, change in (changes or {}).items()}
    return {each.name: each.distribution for each in space_of("method", config, fixed or {}, ranges)}


def test_ranges_come_from_hints_and_bounds():
    assert space() == {
        "rate": FloatDistribution(1e-3, 1.0, log=True),
        "share": FloatDistribution(0.0, 1.0),
        "number": IntDistribution(1, 8),
        "kind": CategoricalDistribution(("a", "b")),
        "switch": CategoricalDistribution((False, True)),
    }


def test_a_user_may_narrow_fix_and_add():
    found = space({"share": 0.1, "kind": "b"}, {"rate": {"low": 0.1}, "window": {"low": 1, "high": 64, "log": True}})
    assert found["rate"] == FloatDistribution(0.1, 1.0, log=True)
    assert found["window"] == IntDistribution(1, 64, log=True)
    assert not found.keys() & {"share", "kind"}
    assert space(changes={"number": {"choices": [1, 4]}})["number"] == CategoricalDistribution((1, 4))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"rat": {"low": 0.1}}, "no field 'rat' in the config of .*; did you mean 'rate'"),
        (
            {"share": {"low": 0.9, "high": 0.1}},
            "method.share needs a range whose low end is below its high end, got 0.9",
        ),
        ({"share": {"log": True}}, "method.share needs a low end above 0 for a logarithmic range, got 0:1"),
        ({"share": {"high": 2}}, r"the space of method.share has 2.0, which its config refuses: .*less than or equal"),
        ({"number": {"low": 1.5}}, "method.number is a whole number and needs such ends"),
        ({"window": {"low": 1}}, "method.window has no upper end; give a range LOW:HIGH"),
        ({"kind": {"choices": ["a", "c"]}}, "the space of method.kind has 'c', which its config refuses"),
    ],
)
def test_a_space_with_an_error_is_reported_in_one_line(changes, error):
    with pytest.raises(UsageError, match=error):
        space(changes=changes)


def test_a_field_cannot_be_set_and_varied():
    with pytest.raises(UsageError, match=r"method.rate is both set and varied"):
        space({"rate": 0.1}, {"rate": {"low": 0.1}})


def test_a_method_without_a_space_says_so(sweep):
    with pytest.raises(UsageError, match="lp_plus_plus has nothing to tune"):
        sweep(method="lp_plus_plus")
    with pytest.raises(UsageError, match="zero_shot uses no support set"):
        sweep(method="zero_shot")


@pytest.mark.parametrize("name", sorted(registry.find("methods")))
def test_the_hints_of_every_method_fit_its_config(name):
    config = registry.method_class(name).Config
    hinted = [field for field in config.model_fields.values() if any(isinstance(each, Tune) for each in field.metadata)]
    if hinted:
        assert len(space_of(name, config, {}, {})) == len(hinted)


def default_trial(name, method):
    """Values of a method's first trial where all of its fields are varied; None where that has no default."""
    config, resolved = method.Config(), SimpleNamespace(prior_strength=1.0)
    try:
        space = space_of(name, method.Config, {}, {})
    except NothingToTuneError:
        return {}
    return Trials.default(SimpleNamespace(config=lambda _: config, space=space, resolved=resolved))


def test_the_page_names_the_methods_whose_default_is_no_trial():
    page = " ".join((ROOT / "docs/sweeps.md").read_text(encoding="utf-8").split())
    (names,) = re.findall("Without their default in the search are (.*?);", page)
    found = {name.partition("@")[0] for name, method in own_methods().items() if default_trial(name, method) is None}
    assert found == set(re.findall(r"`(\w+)`", names))
