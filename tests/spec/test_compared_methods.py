"""The suites that compare all methods of a kind have all of them."""

from collections.abc import Mapping
from typing import Any

from bench import registry
from bench.contracts import Backbone, InputMode, Kind, LanguageBackbone
from bench.contracts.site import name_at_site
from bench.plugin import OWN
from bench.spec.expand import expand
from bench.spec.suite import load_suite


def methods_by_task(suite: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for block in load_suite(suite).blocks:
        for spec in expand(block):
            found.setdefault(spec.task, set()).add(name_at_site(spec.method, spec.config))
    return found


def reading(mode: InputMode, kind: Kind, backbone: type[Backbone]) -> Mapping[str, Any]:
    """This project's methods of a kind of task that read features, or inputs, by name."""
    own = (name for name, plugin in registry.find("methods").items() if plugin.origin == OWN)
    classes = {name: registry.method_class(name) for plugin in own for name in registry.names_by_site(plugin)}
    return {
        name: cls for name, cls in classes.items() if kind in cls.kinds and cls.input_mode_for(kind, backbone) is mode
    }


def test_every_method_that_runs_the_model_is_on_both_tasks_of_texts() -> None:
    found = methods_by_task("language_methods")
    in_models = reading(InputMode.INPUTS, Kind.TEXT_CLASSIFICATION, LanguageBackbone).keys()
    assert {"knn_lm", "faast@hidden_states", "peft"} < in_models
    assert in_models <= found["lexicon"] == found["sst2"]


def test_every_method_on_features_is_on_images_and_vectors_with_the_same_number_of_trials() -> None:
    found = methods_by_task("features")
    on_features = reading(InputMode.FEATURES, Kind.IMAGE_CLASSIFICATION, Backbone)
    with_one_tower = {name for name, cls in on_features.items() if not cls.needs_text_tower}
    assert {"faast", "proker", "clap"} < with_one_tower
    assert with_one_tower == found["digits"] == found["cifar10"] == found["vectors"]
    assert load_suite("features").tune_all == 10
