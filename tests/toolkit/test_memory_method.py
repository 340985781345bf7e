"""The example of the documentation: a memory in one file that works at both sites."""

import json
import pickle
import re

import pytest

from bench import registry
from bench.contracts import MultiSiteMethod, Site, UsageError
from bench.testing.tiny_models import save_model
from bench.toolkit.memory_method import MemoryMethod
from tests.helpers import preloaded
from tests.helpers.packages import forget, install
from tests.helpers.places import ROOT

PYPROJECT = """[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "one-memory"
version = "1.0"
[project.entry-points."bench.methods"]
outer_product = "one_memory.outer_product:PLUGIN"
[tool.setuptools]
packages = ["one_memory"]
"""


@pytest.fixture(scope="module")
def example(tmp_path_factory):
    """A folder of installed packages with the example in it."""
    page = (ROOT / "docs" / "add-a-method.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (code,) = (block for block in blocks if "MemoryMethod" in block)
    source, site = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    (source / "one_memory").mkdir()
    (source / "one_memory" / "__init__.py").touch()
    (source / "one_memory" / "outer_product.py").write_text(code, encoding="utf-8")
    (source / "pyproject.toml").write_text(PYPROJECT)
    install(source, site)
    return site


@pytest.fixture
def installed(example, monkeypatch):
    """The example as a plugin, in this process and in those that it starts."""
    monkeypatch.syspath_prepend(str(example))
    monkeypatch.setenv("PYTHONPATH", f"{example}:{ROOT}")
    registry.find.cache_clear()
    yield
    forget(example)


@pytest.mark.slow
def test_the_example_keeps_the_contract_at_both_sites(installed):
    ended = preloaded.run("bench.testing", "methods", "outer_product")
    assert ended.returncode == 0, ended.stdout[-2000:]
    assert registry.names_by_site("outer_product") == ["outer_product", "outer_product@hidden_states"]


@pytest.mark.slow
def test_the_example_runs_at_both_sites_with_costs_in_fresh_processes(installed, in_process, tmp_path, cache):
    """Its classes are made from one file and reach the worker, which finds them by name."""
    model = save_model(tmp_path / "model", "llama", context=256)
    code, _, err = in_process(
        "run", "--task", "lexicon", "--backbone", f"hf:{model}",
        "--method", "outer_product,outer_product@hidden_states", "--set", "outer_product.scale=2",
        "--shots", "1", "--episodes", "1", "--queries", "2", "--logger", "none",
        "--accelerator", "cpu", "--store", tmp_path / "runs",
    )  # fmt: skip
    assert code == 0, err
    found = [json.loads(path.read_text()) for path in (tmp_path / "runs").glob("*.json")]
    assert {record["identity"]["site"]: record["status"] for record in found} == dict.fromkeys(Site, "ok")
    fields = {record["identity"]["site"]: record["identity"]["config"].keys() for record in found}
    assert fields[Site.FEATURES] == {"scale", "prior_strength"}
    assert fields[Site.HIDDEN_STATES] == {"scale", "output_mix", "pairs", "readouts", "window"}


@pytest.mark.slow
def test_the_example_s_sites_are_listed(installed, in_process):
    code, out, _ = in_process("list", "methods")
    assert code == 0
    assert "outer_product [features, hidden_states]" in out


def test_classes_of_a_memory_method_are_found_by_name_in_another_process(installed):
    for site in Site:
        method = registry.method_class(f"outer_product@{site}")
        assert pickle.loads(pickle.dumps(method)) is method
        config = method.Config(scale=2.0)
        assert pickle.loads(pickle.dumps(config)) == config


def test_a_site_can_be_left_out():
    class Base(MemoryMethod):
        """Stand-in."""

        source = "none"
        hidden_states = None

        @staticmethod
        def make_memory(config, shape):
            return None

    assert Base.sites() == (Site.FEATURES,)
    assert Base.at(Site.FEATURES).Config.model_fields.keys() == {"prior_strength"}
    with pytest.raises(UsageError, match="Base has the sites features, got site=hidden_states"):
        Base.at(Site.HIDDEN_STATES)
    with pytest.raises(TypeError, match="needs a static method make_memory"):
        type("Nothing", (MemoryMethod,), {"source": "none"})


@pytest.mark.parametrize("name", ["faast", "hebbian", "linear_projection", "ridge", "softmax_memory"])
def test_sites_that_are_listed_are_those_that_the_class_serves(name):
    plugin = registry.get("methods", name)
    made = plugin.load()
    assert issubclass(made, MultiSiteMethod)
    assert plugin.sites() == made.sites() == tuple(Site)
    assert registry.get("methods", "knn").sites() == ()
