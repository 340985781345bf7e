"""Methods of a block: sites, fields and names of the first edition."""

import pytest
import yaml

from bench.contracts import Kind, Site, UsageError
from bench.spec.best_config import read_configs
from bench.spec.expand import expand
from bench.spec.presets import Rule
from bench.spec.suite import Block, load_suite


def chosen(**block):
    """Method and config of each run of a block."""
    given = {"task": "lexicon", "shots": [5], **block}
    return [(spec.method, spec.config) for spec in expand(Block.model_validate(given))]


@pytest.mark.parametrize(
    ("task", "methods", "fields", "expected"),
    [
        ("lexicon", ["faast"], {}, [("faast", {})]),
        ("wikitext103", ["faast"], {}, [("faast", {})]),
        ("wikitext103", ["faast@hidden_states", "faast_lm"], {}, [("faast", {})]),
        ("lexicon", ["faast_lm"], {}, [("faast", {"site": "hidden_states"})]),
        ("lexicon", ["ridge_lm"], {"ridge_lm": {"lam": 0.5}}, [("ridge", {"site": "hidden_states", "lam": 0.5})]),
        ("lexicon", ["knn"], {"knn": {"prior_count": 3}}, [("knn", {"prior_strength": 3})]),
        # Fields under a name with a site are for that site; under the bare name, where it is not listed, for all.
        ("digits", ["faast"], {"faast_lm": {"alpha": 0.5}}, [("faast", {})]),
        ("wikitext103", ["faast"], {"faast_lm": {"alpha": 0.5}}, [("faast", {"alpha": 0.5})]),
        ("wikitext103", ["faast_lm"], {"faast": {"alpha": 0.5}}, [("faast", {"alpha": 0.5})]),
        (
            "lexicon",
            ["faast", "faast@hidden_states"],
            {"faast": {"prior_strength": 3}, "faast_lm": {"alpha": 0.5}},
            [("faast", {"prior_strength": 3}), ("faast", {"site": "hidden_states", "alpha": 0.5})],
        ),
    ],
)
def test_names_and_fields_mean_a_method_at_a_site(task, methods, fields, expected):
    assert chosen(task=task, methods=methods, set=fields) == expected


@pytest.mark.parametrize(
    ("task", "method", "fields", "message"),
    [
        ("lexicon", "faast", {"site": "layers"}, "faast needs one of the sites features, hidden_states, got 'layers'"),
        ("lexicon", "faast@layers", {}, "faast needs one of the sites features, hidden_states, got 'layers'"),
        ("lexicon", "knn", {"site": "hidden_states"}, "knn has no choice of sites, got site=hidden_states"),
        ("digits", "faast@hidden_states", {}, "no site hidden_states on image_.*; its sites there: features"),
        ("wikitext103", "faast", {"site": "features"}, "no site features on .*; its sites there: hidden_states"),
        ("lexicon", "faast_lm", {"site": "features"}, "faast_lm has the site hidden_states, got site=features"),
        ("lexicon", "faast", {"prior_count": 1, "prior_strength": 2}, "prior_strength is given twice"),
        ("lexicon", "faast@hidden_states", {"prior_strength": 2}, "faast@hidden_states has no field 'prior_strength'"),
        (
            "lexicon",
            "faast",
            {"window": 8},
            "method faast@features has no field 'window', only .*prior_strength.*; "
            "'window' is a field at hidden_states: --set faast@hidden_states.window=VALUE",
        ),
        ("lexicon", "ridge", {"lam": 1, "strength": 1}, "strength: lam and strength are two ways"),
        ("lexicon", "ridge_lm", {"random_features": 9}, "random_features: random features need site=features"),
    ],
)
def test_what_cannot_be_is_one_line_that_names_the_sites(task, method, fields, message):
    with pytest.raises(UsageError, match=message) as caught:
        chosen(task=task, methods=[method], set={method: fields})
    assert "\n" not in str(caught.value)


def test_a_name_of_the_first_edition_is_no_error_on_a_task_that_its_site_does_not_serve():
    assert chosen(task="digits", methods=["faast_lm"], set={}) == [("faast", {"site": "hidden_states"})]


def test_a_match_names_a_method_at_a_site():
    block = Block(task="lexicon", methods=["faast", "faast_lm"], shots=[5], match="faast_lm:state_mb")
    on_features, reference = expand(block)
    assert (reference.config, reference.match) == ({"site": "hidden_states"}, None)
    assert str(on_features.match) == "match faast@hidden_states:state_mb"
    assert on_features.reference() == reference


def test_a_suite_and_a_best_yaml_of_the_first_edition_are_read(tmp_path):
    block = {
        "task": "lexicon", "n_shot": [5], "methods": ["faast", "faast_lm"], "match": "faast",
        "set": {"faast": {"prior_count": 3}, "faast_lm": {"alpha": 0.5}},
    }  # fmt: skip
    suite = tmp_path / "old.yaml"
    suite.write_text(yaml.safe_dump({"name": "old", "blocks": [block]}))
    assert [(spec.method, spec.config) for spec in expand(load_suite(str(suite)).blocks[0])] == [
        ("faast", {"prior_strength": 3}), ("faast", {"site": "hidden_states", "alpha": 0.5})
    ]  # fmt: skip
    tuning = {
        "trials": 1, "seconds": 0.1, "sampler": "tpe", "objective": "score", "validation": "splits", "score": 1.0,
        "study": "s",
    }  # fmt: skip
    found = []
    for number, (method, config) in enumerate([("knn", {"prior_count": 7}), ("hebbian_lm", {"decay": 0.5})]):
        best = tmp_path / f"{number}.yaml"
        best.write_text(yaml.safe_dump({"method": method, "config": config, "tuning": tuning}))
        found.append(read_configs([best])[method])
    assert chosen(methods=[best.method for best in found], set={best.method: best.config for best in found}) == [
        ("knn", {"prior_strength": 7}), ("hebbian", {"site": "hidden_states", "decay": 0.5})
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["faast_lm", "faast@hidden_states", "faast"])
def test_a_preset_s_rule_is_for_a_site(name):
    rule = Rule(tasks=("*",), method=name, set={"alpha": 0.5})

    def applies(site, kind):
        return rule.applies("any", "any", "faast", site, kind)

    assert applies(Site.HIDDEN_STATES, Kind.LANGUAGE_MODELLING)
    assert applies(Site.HIDDEN_STATES, Kind.TEXT_CLASSIFICATION) == (name != "faast")
    assert applies(Site.FEATURES, Kind.TEXT_CLASSIFICATION) == (name == "faast")


@pytest.mark.parametrize("suite", ["quickstart", "vision"])
def test_default_suites_have_classifiers_with_and_without_the_prior(suite):
    forms = {}
    for block in load_suite(suite).blocks:
        for spec in expand(block):
            if spec.shots in {1, 5} and spec.task in {"lexicon", "cifar10"}:
                forms.setdefault(spec.method, []).append(spec.config)
    assert {} in forms["faast"]
    assert {"prior_strength": 0} in forms["faast"]
    for method in ("linear_probe", "ridge", "nearest_mean"):
        assert {} in forms[method]
        assert {"prior": "auto"} in forms[method]
