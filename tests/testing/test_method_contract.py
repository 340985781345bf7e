"""The contract suite of methods on every method, and what a method is given of queries."""

import dataclasses
from typing import Any

import pytest

from bench import registry
from bench.contracts import AnyMethod, Classes, Inputs, Query
from bench.testing.method_contract import MethodContract
from bench.testing.problems import problem

FEWER: dict[str, dict[str, Any]] = {
    "function_vector": {"prompts": 8, "trials": 4},
    "fast_slow": {"steps": 2, "lr": 0.1, "population": 2, "fast_calls": 2},
}
"""Configs of methods that by default read many prompts for each problem."""
NAMES = [name for base in registry.find("methods") for name in registry.names_by_site(base)]


@pytest.mark.slow
class TestEveryMethod(MethodContract):
    @pytest.fixture(params=[name for name in NAMES if name not in FEWER])
    def method(self, request: pytest.FixtureRequest) -> type[AnyMethod]:
        return registry.method_class(request.param)  # type: ignore[return-value]


@pytest.mark.slow
class TestWithFewerPrompts(MethodContract):
    @pytest.fixture(params=FEWER)
    def method(self, request: pytest.FixtureRequest) -> type[AnyMethod]:
        return registry.method_class(request.param)  # type: ignore[return-value]

    @pytest.fixture
    def config(self, request: pytest.FixtureRequest) -> dict[str, Any]:
        return FEWER[request.node.callspec.params["method"]]


def test_a_query_has_no_way_to_labels() -> None:
    reachable = {field.name for cls in (Query, Classes, Inputs) for field in dataclasses.fields(cls)}
    assert reachable == {
        "keys", "prior", "mask", "classes", "inputs", "class_embeddings", "names", "positions", "fetch"
    }  # fmt: skip
    assert not hasattr(problem().query, "labels")
