"""The key ``vary``: its runs are those of blocks with each value in ``set``, and what it refuses."""

import pytest
import yaml

from bench.contracts import UsageError
from bench.contracts.validation import validated
from bench.spec.expand import expand
from bench.spec.options import read_suite
from bench.spec.suite import Block, Suite, load_suite, suite_paths


def block(**fields):
    return Block.model_validate({"task": "lexicon", "methods": ["faast"], "shots": [5], **fields})


def written_out(method, field, values, **fields):
    """Runs of blocks that have one value of the field each."""
    given = fields.pop("set", {})
    parts = [
        expand(block(set={**given, method: {**given.get(method, {}), field: value}}, **fields)) for value in values
    ]
    return [spec for part in parts for spec in part]


@pytest.mark.parametrize(
    ("method", "field", "values", "fields"),
    [
        ("faast", "alpha", [0.2, 1, "auto"], {}),
        ("faast", "prior_strength", [0, 400], {"set": {"faast": {"alpha": 0.5}}, "shots": [1, 5], "seeds": [0, 1]}),
        ("faast@hidden_states", "output_mix", [0.5, 0.9], {"methods": ["faast_lm"], "preset": None}),
        ("faast", "site", ["features", "hidden_states"], {}),
    ],
)
def test_its_runs_are_those_of_a_block_for_each_value(method, field, values, fields):
    assert expand(block(vary={method: {field: values}}, **fields)) == written_out(method, field, values, **fields)


def test_other_methods_run_once_unless_their_budget_varies():
    others = expand(block(methods=["faast", "knn", "zero_shot"], vary={"faast": {"alpha": [0.2, 0.5, 1]}}))
    assert [spec.method for spec in others] == ["faast", "knn", "zero_shot", "faast", "faast"]
    matched = expand(block(methods=["knn"], match="faast:state_mb", vary={"faast": {"alpha": [0.2, 1]}}))
    assert [(spec.method, spec.match and spec.match.config) for spec in matched] == [
        ("faast", None), ("knn", {"alpha": 0.2}), ("faast", None), ("knn", {"alpha": 1})
    ]  # fmt: skip


def test_a_suite_with_it_is_read_from_yaml_and_written_as_json(tmp_path):
    content = {"name": "mine", "blocks": [{"task": "digits", "method": "knn", "vary": {"knn": {"k": [1, 3]}}}]}
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(content))
    suite = load_suite(str(path))
    assert Suite.model_validate_json(suite.model_dump_json()) == suite
    (only,) = read_suite(path, {"tune_all": 3}).blocks
    assert (only.vary, only.tune_all) == ({"knn": {"k": [1, 3]}}, 3)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"vary": {"faast": {"alpha": [1]}}}, r"vary: needs one field .* a single value belongs in set"),
        ({"vary": {"faast": {"alpha": 0.5}}}, "vary: needs one field"),
        ({"vary": {"faast": {"alpha": [0.5, 1, 0.5]}}}, "vary: needs different values, 0.5 is there twice"),
        ({"vary": {"faast": {"alpha": [0, 1], "solver": ["exact", "pinv"]}}}, "in a block of its own"),
        ({"vary": {"faast": {"alpha": [0, 1]}, "knn": {"k": [1, 2]}}}, "in a block of its own"),
        ({"vary": ["faast"]}, "vary: needs one field"),
        ({"vary": {"faast": ["alpha"]}}, "vary: needs one field"),
        (
            {"vary": {"faast": {"alpha": [0, 1]}}, "set": {"faast": {"alpha": 2}}},
            r"vary and set both give faast\.alpha on lexicon; leave one of them out",
        ),
        (
            {"vary": {"faast": {"alpha": [0, 1]}}, "seeds": list(range(10_000)), "shots": list(range(1, 11))},
            "200,000 runs",
        ),
    ],
)  # fmt: skip
def test_what_is_no_field_with_several_values_is_refused_by_name(fields, message):
    given = {"task": "lexicon", "methods": ["faast"], **fields}
    with pytest.raises(UsageError, match=message) as refused:
        validated(Suite, {"name": "s", "blocks": [given]}, "suite")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"vary": {"faast": {"alhpa": [0, 1]}}}, r"method faast has no field 'alhpa'; did you mean 'alpha'"),
        ({"vary": {"knn": {"k": [1, 3]}}}, r"no method 'knn' in this block"),
        ({"vary": {"faast": {"alpha": [0, 99]}}}, r"method faast: alpha: .*got 99"),
        ({"vary": {"faast": {"site": ["features", "layers"]}}}, "faast needs one of the sites"),
        ({"vary": {"faast": {"prior_count": [1, 2]}}, "set": {"faast": {"prior_strength": 3}}}, "is given twice"),
        ({"vary": {"faast@hidden_states": {"alpha": [0, 1]}}}, r"faast@hidden_states\.alpha changes none on lexicon"),
    ],
)
def test_wrong_names_and_values_are_those_of_set(fields, message):
    with pytest.raises(UsageError, match=message):
        expand(block(**fields))


@pytest.mark.parametrize("name", [name for name in suite_paths() if name.startswith(("paper", "ablation"))])
def test_suites_of_the_paper_have_runs_of_known_methods(name):
    suite = load_suite(name)
    runs = [spec for each in suite.blocks for spec in expand(each)]
    assert len(runs) == len({spec.model_dump_json() for spec in runs}), "a run is in two blocks"
    if name.endswith("_small"):
        assert name.removesuffix("_small") in suite_paths()
        embedded = {"efficientnet_lite0", "smollm2_135m", "vectors"}
        assert {spec.backbone for spec in runs} <= embedded
