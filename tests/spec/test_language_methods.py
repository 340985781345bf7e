"""The suite of methods in a language model has all of them."""

from bench import registry
from bench.contracts import InputMode, Kind, LanguageBackbone
from bench.contracts.site import name_at_site
from bench.plugin import OWN
from bench.spec.expand import expand
from bench.spec.suite import load_suite

KIND = Kind.TEXT_CLASSIFICATION


def test_it_has_every_method_that_runs_the_model_on_both_tasks() -> None:
    found: dict[str, set[str]] = {}
    for block in load_suite("language_methods").blocks:
        for spec in expand(block):
            found.setdefault(spec.task, set()).add(name_at_site(spec.method, spec.config))
    own = (name for name, plugin in registry.find("methods").items() if plugin.origin == OWN)
    classes = {name: registry.method_class(name) for plugin in own for name in registry.names_by_site(plugin)}
    in_models = {
        name
        for name, cls in classes.items()
        if KIND in cls.kinds and cls.input_mode_for(KIND, LanguageBackbone) is InputMode.INPUTS
    }
    assert {"knn_lm", "faast@hidden_states", "peft"} < in_models
    assert in_models <= found["lexicon"] == found["sst2"]
