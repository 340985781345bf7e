"""Imports point downwards: one ordered list of wings, bottom to top, holds the structure of docs/architecture.md."""

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
WINGS = (
    "bench.version",
    "bench.own_packages",
    "bench.stats",
    "bench.contracts",
    "bench.toolkit",
    "plugins",
    "bench.plugin",
    "bench.registry",
    "bench.spec",
    "bench.meters",
    "bench.data",
    "bench.engine",
    "bench.costs",
    "bench.readouts",
    "bench.results",
    "bench.runs",
    "bench.reports",
    "sweeps",
    "bench.api",
    "bench.scaffold",
    "bench.testing",
    "bench.cli",
    "bench.__main__",
)
PLUGINS = ("methods", "tasks", "bench.backbones", "bench.metrics")
"""One wing each: the harness loads plugins by name alone, and plugins of one kind do not import another kind."""


def wing(module):
    """The wing that a module belongs to; None for the package ``bench`` itself, which holds the public names."""
    if module == "bench":
        return None
    if any(within(module, kind) for kind in PLUGINS):
        return "plugins"
    return next(name for name in WINGS if within(module, name))


def within(module, package):
    return module == package or module.startswith(f"{package}.")


@cache
def modules():
    """Every module of the project with the project's modules that it imports, inside functions too."""
    paths = {}
    for package in ("bench", "methods", "tasks", "sweeps"):
        for path in sorted((ROOT / package).rglob("*.py")):
            paths[".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")] = path
    ours = {"bench", "methods", "tasks", "sweeps"}
    return {
        name: sorted(each for each in imported(path, paths) if each.partition(".")[0] in ours)
        for name, path in paths.items()
    }


def imported(path, known=()):
    """Names of the modules that a file imports; one of ``known`` also where its package is named."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                found.add(submodule if submodule in known else node.module)
    return found


@pytest.mark.slow
def test_the_walk_finds_lazy_imports_and_submodules():
    assert "bench.contracts" in modules()["methods.faast"]
    assert "bench.registry" in modules()["bench.spec.expand"]
    assert len(modules()) > 100
    assert {wing(name) for name in modules()} >= set(WINGS)


def test_every_import_points_to_the_same_wing_or_one_below():
    upwards = [
        f"{name} imports {other}"
        for name, others in modules().items()
        for other in others
        if wing(name) and wing(other) and WINGS.index(wing(other)) > WINGS.index(wing(name))
    ]
    assert upwards == []


@pytest.mark.parametrize("kind", PLUGINS)
def test_plugins_import_contracts_toolkit_and_statistics_alone(kind):
    allowed = ("bench.contracts", "bench.toolkit", "bench.stats", kind)
    assert [
        f"{name} imports {other}"
        for name, others in modules().items()
        if within(name, kind)
        for other in others
        if not any(within(other, package) for package in allowed)
    ] == []


@pytest.mark.parametrize("kind", ["methods", "tasks"])
def test_a_plugin_imports_no_other_plugin(kind):
    """Shared code has a leading underscore; only what is named after a plugin may build on it.

    That is a variant, or the class of a method, at one of its sites, that goes on from its state.
    """
    assert [
        f"{name} imports {other}"
        for name, others in modules().items()
        if within(name, kind)
        for other in others
        if other != kind
        and within(other, kind)
        and not other.startswith(f"{kind}._")
        and not name.startswith(f"{other}_")
        and name.removesuffix("_hidden_states") != f"{kind}._continual_{other.rpartition('.')[2]}"
    ] == []


def test_the_harness_names_no_plugin():
    assert [
        f"{name} imports {other}"
        for name, others in modules().items()
        if wing(name) not in {"plugins", None}
        for other in others
        if wing(other) == "plugins" and other not in PLUGINS
    ] == []


def test_there_are_no_cycles():
    done, path = set(), []

    def visit(name):
        assert name not in path, " -> ".join([*path[path.index(name) :], name])
        if name in done:
            return
        path.append(name)
        for other in modules().get(name, []):
            visit(other)
        path.pop()
        done.add(name)

    for name in modules():
        visit(name)
    assert len(done) >= len(modules())


@pytest.mark.slow
def test_a_test_module_imports_from_no_other():
    """What several share is in tests/helpers, or in a module without tests beside them."""
    paths = sorted((ROOT / "tests").rglob("*.py"))
    known = {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths}
    names = {path: imported(path, known) for path in paths}
    assert any("tests.helpers.runs" in found for found in names.values())
    assert [
        f"{path.relative_to(ROOT)} imports {name}"
        for path, found in names.items()
        for name in found
        if name.startswith("tests.") and name.rpartition(".")[2].startswith(("test_", "conftest"))
    ] == []
