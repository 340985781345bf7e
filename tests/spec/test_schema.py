"""The JSON Schema of suites takes what the program takes, and refuses misspelt keys, fields and values."""

import re

import pytest
import yaml
from jsonschema import Draft202012Validator

import bench
from bench.spec.schema import suite_schema
from bench.spec.suite import Block, suite_paths
from bench.spec.yaml_text import read_yaml
from tests.helpers.docs import split
from tests.helpers.places import ROOT

BLOCK = {"task": "digits", "methods": ["faast"]}


@pytest.fixture(scope="module")
def errors():
    """Errors of a suite's content, as places in it."""
    schema = suite_schema()
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    return lambda content: [list(error.path) for error in validator.iter_errors(content)]


@pytest.mark.parametrize("name", suite_paths())
def test_a_shipped_suite_is_valid_and_names_this_schema_if_any(errors, name):
    path = suite_paths()[name]
    assert errors(read_yaml(path, "suite").fields) == []
    schema = re.match(r"# yaml-language-server: \$schema=(\S+)\n", path.read_text(encoding="utf-8"))
    assert schema or name != "quickstart"
    assert schema is None or (path.parent / schema[1]).resolve() == ROOT / "docs" / "suite.schema.json"


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


def test_keys_have_meanings_and_names_are_completed():
    block = bench.suite_schema()["$defs"]["Block"]["properties"]
    assert all(block[key]["description"] for key in Block.model_fields)
    listed, text = block["methods"]["anyOf"]
    assert {"faast", "faast@hidden_states"} <= set(listed["items"]["anyOf"][0]["enum"]) == set(text["anyOf"][0]["enum"])
    assert "iwslt2017:de-en" in block["task"]["anyOf"][0]["enum"]
    assert "prior_strength" in block["set"]["anyOf"][0]["properties"]["faast"]["properties"]
