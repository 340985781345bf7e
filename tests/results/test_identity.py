"""Identity of a run: all that changes its value, and nothing that does not."""

import shutil
import sys
from functools import partial

import pytest

from bench import registry
from bench.data.feature_cache import pool_cache
from bench.results.identity import plugin_code, run_identity
from bench.results.record import run_id
from bench.spec.resolve import resolve
from bench.spec.run_spec import RunSpec
from bench.toolkit import code_hash as code_hash_module
from bench.toolkit import versions
from bench.toolkit.code_hash import code_hash
from tests.helpers.places import ROOT

SPEC = RunSpec(
    task="digits", backbone="efficientnet_lite0", method="ridge", shots=5, seed=0, episodes=2, queries=3, ways=None
)


def identity(device="cpu", data="1", weights="w", **changes):
    return run_identity(resolve(SPEC.model_copy(update=changes)), data, weights, device)


class Weights:
    fingerprint = "w"


@pytest.fixture
def upgraded(monkeypatch):
    """Changes the installed version of a library."""

    def upgrade(library):
        known = versions.version
        monkeypatch.setattr(versions, "version", lambda name: "99" if name == library else known(name))

    return upgrade


@pytest.mark.parametrize("library", ["pillow", "numpy", "torch"])
def test_an_upgraded_library_changes_the_id_and_the_features(library, upgraded):
    key = partial(pool_cache, Weights(), "1", SPEC, "support", "cpu")
    first, features = identity(), key().folder
    upgraded(library)
    assert run_id(identity()) != run_id(first)
    assert key().folder != features


def test_the_kind_of_device_and_the_protocol_are_in_ids_and_features(monkeypatch):
    first, features = identity(), pool_cache(Weights(), "1", SPEC, "support", "cpu").folder
    assert run_id(identity(device="cuda")) != run_id(first)
    assert pool_cache(Weights(), "1", SPEC, "support", "cuda").folder != features
    monkeypatch.setattr("bench.results.identity.PROTOCOL", versions.PROTOCOL + 1)
    monkeypatch.setattr("bench.data.feature_cache.PROTOCOL", versions.PROTOCOL + 1)
    assert run_id(identity()) != run_id(first)
    assert pool_cache(Weights(), "1", SPEC, "support", "cpu").folder != features


@pytest.mark.parametrize("change", [{"data": "2"}, {"weights": "v"}, {"shots": 1}, {"seed": 1}, {"method": "knn"}])
def test_the_specification_and_the_inputs_are_in_the_id(change):
    assert run_id(identity(**change)) != run_id(identity())


def test_a_declared_version_of_a_plugin_is_in_the_id(monkeypatch):
    first = identity()
    monkeypatch.setattr(registry.method_class("ridge"), "version", "2")
    assert identity()["code"] == {**first["code"], "method version": "2"}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A copy of the project's methods that can be edited, and a function for the hashes of all of them."""
    shutil.copytree(ROOT / "methods", tmp_path / "methods", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr("methods.__path__", [str(tmp_path / "methods")])
    for name in [name for name in sys.modules if name.startswith("methods.")]:
        monkeypatch.delitem(sys.modules, name)  # else it is found where it was loaded from

    def hashes():
        code_hash.cache_clear()
        return {name: code_hash(f"methods.{name}") for name in registry.find("methods")}

    yield tmp_path / "methods", hashes
    code_hash.cache_clear()


@pytest.mark.slow
def test_the_arithmetic_of_a_method_changes_its_own_ids_only(project):
    folder, hashes = project
    before = hashes()
    path = folder / "knn.py"
    path.write_text(path.read_text() + "\n\nMORE = 1\n")
    after = hashes()
    assert {name for name in before if before[name] != after[name]} == {"knn"}


@pytest.mark.slow
def test_the_code_of_the_harness_is_in_no_id_but_by_its_protocol(monkeypatch):
    opened = set()
    find = code_hash_module._find

    def noted(module):
        opened.add(module)
        return find(module)

    monkeypatch.setattr(code_hash_module, "_find", noted)
    code_hash.cache_clear()
    for name in registry.find("methods"):
        plugin_code("digits", "efficientnet_lite0", name)
    packages = {"methods", "tasks", "bench", "bench.backbones", "bench.metrics"}
    assert {f"methods.{name}" for name in registry.find("methods")} <= opened
    assert {
        name for name in opened if not name.startswith(("methods.", "tasks.", "bench.backbones.", "bench.metrics."))
    } <= packages
