"""Plugins are found by file name and entry point; a broken plugin is an error in one line."""

from importlib.metadata import EntryPoint
from types import SimpleNamespace

import pytest

from bench import own_packages, registry
from bench.backbones.hf import CausalLM
from bench.contracts import Kind, UsageError
from bench.registry import finding
from bench.testing.tiny_models import save_model

GROUPS = ("methods", "tasks", "backbones", "metrics")


@pytest.fixture
def entry(monkeypatch):
    """Adds entry points as if packages had been installed."""
    points = []

    def add(group, name, value, package="other-package"):
        point = EntryPoint(name, value, f"bench.{group}")
        object.__setattr__(point, "dist", SimpleNamespace(name=package))
        points.append(point)

    monkeypatch.setattr(
        finding, "_declared", lambda group, folders: [point for point in points if point.group == f"bench.{group}"]
    )
    registry.find.cache_clear()
    yield add
    registry.find.cache_clear()


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Makes importable modules with a name of their own."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def make(name, text):
        (tmp_path / f"{name}.py").write_text(text)
        return name

    return make


@pytest.mark.parametrize("group", GROUPS)
def test_every_file_of_the_folder_is_a_plugin_that_loads(group):
    found = registry.find(group)
    assert found
    for name, plugin in found.items():
        assert plugin.summary().endswith("."), name
        assert isinstance(plugin.load(), type)


def test_files_that_begin_with_an_underscore_are_no_plugins(tmp_path, monkeypatch):
    for name in ("_shared", "mine"):
        (tmp_path / f"{name}.py").write_text('"""A file."""\n')
    monkeypatch.setattr(own_packages, "folder", lambda package: tmp_path)
    monkeypatch.setattr(finding, "_declared", lambda group, folders: [])
    assert list(registry.find.__wrapped__("methods")) == ["mine"]


def test_two_packages_with_one_name_are_both_named(entry):
    entry("methods", "fancy", "first_module", "first-package")
    entry("methods", "fancy", "second_module", "second-package")
    with pytest.raises(UsageError, match="two plugins named 'fancy', from first-package and second-package; uninstall"):
        registry.find("methods")


def test_a_package_cannot_take_the_name_of_a_plugin_of_this_project(entry):
    entry("methods", "faast", "impostor")
    with pytest.raises(UsageError, match="two plugins named 'faast', from bench and other-package"):
        registry.get("methods", "knn")


@pytest.mark.parametrize("target", ["not_installed_at_all", "not_installed_at_all.deep.module:PLUGIN", "json.no_such"])
def test_an_entry_point_to_nowhere_names_its_package(entry, target):
    entry("methods", "gone", target)
    plugin = registry.get("methods", "gone")
    with pytest.raises(UsageError, match=r"'gone'.*other-package.*(No module named|cannot be imported)"):
        plugin.load()
    with pytest.raises(UsageError, match="other-package names a module that is not installed"):
        plugin.summary()


@pytest.mark.parametrize("target", ["{}", "{}:PLUGIN", "{}:Missing"])
def test_a_module_without_the_class_says_what_it_needs(entry, module, target):
    entry("methods", "bare", target.format(module("bare_module", '"""Nothing here."""\n')))
    wanted = "Missing" if "Missing" in target else "PLUGIN"
    with pytest.raises(UsageError, match=f"bare_module is no plugin: .*module-level name '{wanted}'"):
        registry.method_class("bare")


def test_a_module_that_is_no_python_is_an_error_that_names_it(entry, module):
    entry("methods", "broken", module("broken_module", "def oops(:\n"))
    with pytest.raises(UsageError, match=r"'broken'.*other-package.*cannot be imported"):
        registry.method_class("broken")
    with pytest.raises(UsageError, match="'broken' of other-package is no Python"):
        registry.get("methods", "broken").summary()


def test_a_defect_inside_the_module_is_not_taken_for_a_missing_class(entry, module):
    entry("methods", "defect", module("defect_module", "import json\nPLUGIN = json.no_such_thing\n"))
    with pytest.raises(AttributeError, match="no_such_thing"):
        registry.method_class("defect")


@pytest.mark.parametrize("group", GROUPS)
def test_an_unknown_name_suggests_the_nearest(group):
    name = next(iter(registry.find(group)))
    with pytest.raises(UsageError, match=f"no {group.removesuffix('s')} '{name}x'; did you mean '{name}'"):
        registry.get(group, name + "x")
    with pytest.raises(UsageError, match=f"known: .*{name}"):
        registry.get(group, "0000")


def test_the_argument_of_a_backbone_is_checked_before_it_is_made():
    with pytest.raises(UsageError, match="needs no argument: use efficientnet_lite0, got 'efficientnet_lite0:big'"):
        registry.make_backbone("efficientnet_lite0:big")
    with pytest.raises(UsageError, match="hf needs an argument: use hf:ARGUMENT, got 'hf'"):
        registry.make_backbone("hf")


def test_a_backbone_is_run_to_be_checked_once_for_its_weights(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    checked, check = [], CausalLM.require_runnable
    monkeypatch.setattr(CausalLM, "require_runnable", lambda model: checked.append(model.name) or check(model))
    first, other, broken = (f"hf:{save_model(tmp_path / str(change), 'llama', change=change)}" for change in range(3))
    for name in (first, first, other):
        registry.make_backbone(name)
    assert checked == [first.removeprefix("hf:"), other.removeprefix("hf:")]
    monkeypatch.setattr(CausalLM, "require_runnable", _refuse)
    for _ in range(2):  # what was refused is checked again
        with pytest.raises(UsageError, match="refused"):
            registry.make_backbone(broken)


def _refuse(model):
    raise UsageError("refused")


@pytest.mark.parametrize("name", registry.find("methods"))
def test_fields_of_a_config_are_read_without_importing_the_method(name):
    sites = {"site"} if registry.get("methods", name).sites() else set()
    classes = [registry.method_class(each) for each in registry.names_by_site(name)]
    assert registry.config_fields(name) == sites.union(*(method.Config.model_fields for method in classes))


def test_fields_that_the_source_does_not_show_are_not_known(entry, module):
    entry("methods", "made", module("made_module", "from pydantic import create_model\nPLUGIN = create_model('X')\n"))
    assert registry.config_fields("made") is None


@pytest.mark.parametrize("group", GROUPS)
def test_what_the_source_declares_is_what_the_class_has(group):
    for name, plugin in registry.find(group).items():
        loaded = plugin.load()
        sites = [loaded.at(site) for site in loaded.sites()] if group == "methods" and plugin.sites() else [loaded]
        kinds = [{each.kind} if group == "tasks" else each.kinds for each in sites]
        assert registry.kinds_of(group, plugin) == frozenset().union(*kinds), name
        if group == "methods":
            assert {registry.family_of(plugin)} == {each.family for each in sites}, name


def test_a_memory_at_both_sites_serves_the_kinds_of_both(module, entry):
    name = module(
        "a_memory",
        "from bench.toolkit.memory_method import MemoryMethod\n"
        "class Kept(MemoryMethod):\n    source = 'a paper'\n    family = 'memory'\n"
        "    @staticmethod\n    def make_memory(config, shape): ...\nPLUGIN = Kept\n",
    )
    entry("methods", "kept", f"{name}:PLUGIN")
    plugin = registry.get("methods", "kept")
    found = plugin.load()
    assert registry.kinds_of("methods", plugin) == frozenset(Kind)
    assert registry.family_of(plugin) == found.features.family == found.hidden_states.family == "memory"


def test_kinds_that_only_the_class_has_are_read_from_it_on_request(module, entry):
    name = module(
        "odd_kinds",
        "from bench.contracts import ForwardMethod, Kind\n"
        "class Odd(ForwardMethod):\n    kinds = frozenset(each for each in Kind if 'image' in each)\n"
        "    family = 'memory'\nPLUGIN = Odd\n",
    )
    entry("methods", "odd", f"{name}:PLUGIN")
    plugin = registry.get("methods", "odd")
    assert registry.kinds_of("methods", plugin) == frozenset()
    assert registry.kinds_of("methods", plugin, imports=True) == {"image_classification"}
    assert registry.family_of(plugin) == "memory"
