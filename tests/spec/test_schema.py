"""The JSON Schemas of suites and claims take what the program takes, and refuse misspelt keys, fields and values."""

import re

import pytest
import yaml
from jsonschema import Draft202012Validator

import bench
from bench.contracts import UsageError
from bench.spec.claim import Claim, ClaimRuns, ClaimTest, Condition, claim_paths
from bench.spec.names import check_names
from bench.spec.schema import claim_schema, suite_schema
from bench.spec.suite import Block, suite_paths
from bench.spec.yaml_text import read_yaml
from tests.helpers.docs import split
from tests.helpers.places import ROOT

BLOCK = {"task": "digits", "methods": ["faast"]}


def errors_by(schema):
    """Errors of a file's content, as places in it."""
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    return lambda content: [list(error.path) for error in validator.iter_errors(content)]


@pytest.fixture(scope="module")
def errors():
    return errors_by(suite_schema())


@pytest.fixture(scope="module")
def claim_errors():
    return errors_by(claim_schema())


def named_schema(path):
    """The schema that a file names for editors, or None."""
    found = re.match(r"# yaml-language-server: \$schema=(\S+)\n", path.read_text(encoding="utf-8"))
    return found and (path.parent / found[1]).resolve()


@pytest.mark.slow
@pytest.mark.parametrize("name", suite_paths())
def test_a_shipped_suite_is_valid_and_names_this_schema_if_any(errors, name):
    path = suite_paths()[name]
    assert errors(read_yaml(path, "suite").fields) == []
    assert named_schema(path) in {None, ROOT / "docs" / "suite.schema.json"}
    assert named_schema(path) or name != "quickstart"


@pytest.mark.slow
@pytest.mark.parametrize("name", claim_paths())
def test_a_shipped_claim_is_valid_and_names_this_schema(claim_errors, name):
    path = claim_paths()[name]
    assert claim_errors(read_yaml(path, "claim").fields) == []
    assert named_schema(path) == ROOT / "docs" / "claim.schema.json"


def test_suites_of_the_documentation_are_valid(errors):
    blocks, _ = split((ROOT / "docs/suites.md").read_text(encoding="utf-8"))
    suites = [yaml.safe_load("\n".join(lines)) for language, lines in blocks if language == "yaml"]
    assert len(suites) > 1
    assert [errors(suite) for suite in suites] == [[]] * len(suites)


@pytest.mark.parametrize(
    "block",
    [
        {"task": "digits", "method": "faast,knn", "shots": 5, "seeds": "0-4", "budget": "adapt_seconds=2"},
        {"sequence": "digits, lexicon", "methods": ["faast@features"], "shots": [1, "full"], "queries": "all"},
        {**BLOCK, "set": {"faast": {"alpha": "auto"}, "my_method": {"any": 1}}, "budget_grid": {"state_mb": [1, 2]}},
        {**BLOCK, "task": "image_folder:image=file+label=kind", "backbone": "timm:resnet50", "template": "all"},
    ],
)
def test_other_forms_are_valid(errors, block):
    assert errors({"name": "suite", "blocks": [block]}) == []
    Block.model_validate(block)


@pytest.mark.parametrize(
    "block",
    [
        {"task": "digits"},
        {"methods": ["faast"]},
        {**BLOCK, "metods": ["knn"]},
        {**BLOCK, "shots": [0]},
        {**BLOCK, "episodes": "many"},
        {**BLOCK, "budget": {"adapt_minutes": 2}},
        {**BLOCK, "precision": "fp16"},
        {**BLOCK, "set": {"faast": {"alfa": 1}}},
    ],
)
def test_what_the_program_refuses_is_invalid(errors, block):
    assert errors({"name": "suite", "blocks": [block]})


CLAIM_TEST = {"method": "faast", "against": "knn", "conditions": [{"score": "better"}], "runs": [{"task": "digits"}]}


@pytest.mark.parametrize(
    "changes",
    [
        {"conditions": [{"score": "better", "margin": 1}, {"cost": "flops", "at_most": 0.5}], "set": {"knn": {"k": 3}}},
        {"against": ["faast"], "against_shots": "full", "runs": [{"sequence": "digits,lexicon", "shots": "5"}]},
    ],
)
def test_other_forms_of_claims_are_valid(claim_errors, changes):
    content = {"name": "c", "statement": "s", "tests": [{**CLAIM_TEST, **changes}]}
    assert claim_errors(content) == []
    Claim.model_validate(content)


@pytest.mark.parametrize(
    "changes",
    [
        {"conditions": [{"score": "not_worse"}]},
        {"conditions": [{"score": "better", "at_most": 1}]},
        {"conditions": [{"score": "better", "cost": "flops", "at_most": 1}]},
        {"conditions": [{"cost": "flops"}]},
        {"conditions": [{"cost": "flop", "at_most": 1}]},
        {"conditions": [{"cost": "flops", "at_most": 1, "margin": 1}]},
        {"conditions": []},
        {"against_shots": 0},
        {"set": {"knn": {"kk": 3}}},
        {"runs": [{"task": "digits", "methods": ["knn"]}]},
        {"runs": [{"task": "digits", "vary": {"knn": {"k": [1, 2]}}}]},
        {"runs": [{"shots": 5}]},
        {"methods": ["faast"]},
    ],
)
def test_what_the_program_refuses_of_a_claim_is_invalid(claim_errors, changes):
    content = {"name": "c", "statement": "s", "tests": [{**CLAIM_TEST, **changes}]}
    assert claim_errors(content)
    with pytest.raises((ValueError, UsageError)):
        [check_names(block) for test in Claim.model_validate(content).tests for block in test.blocks()]


def test_keys_of_claims_have_meanings_and_names_are_completed():
    schema = bench.claim_schema()
    parts = {Claim: schema, **{model: schema["$defs"][model.__name__] for model in (ClaimTest, ClaimRuns, Condition)}}
    for part in parts.values():
        assert all(found["description"] for found in part["properties"].values())
    test = parts[ClaimTest]["properties"]
    assert {"faast", "knn"} <= set(test["method"]["anyOf"][0]["enum"])
    assert set(test["against"]["anyOf"][0]["items"]["anyOf"][0]["enum"]) == set(test["method"]["anyOf"][0]["enum"])
    assert "prior_strength" in test["set"]["properties"]["faast"]["properties"]
    assert "digits" in parts[ClaimRuns]["properties"]["task"]["anyOf"][0]["enum"]


def test_keys_have_meanings_and_names_are_completed():
    block = bench.suite_schema()["$defs"]["Block"]["properties"]
    assert all(block[key]["description"] for key in Block.model_fields)
    listed, text = block["methods"]["anyOf"]
    assert {"faast", "faast@hidden_states"} <= set(listed["items"]["anyOf"][0]["enum"]) == set(text["anyOf"][0]["enum"])
    assert "iwslt2017:de-en" in block["task"]["anyOf"][0]["enum"]
    assert "prior_strength" in block["set"]["anyOf"][0]["properties"]["faast"]["properties"]
