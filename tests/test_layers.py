"""Imports follow the arrow: plugins see the contract, the contract sees nothing, nobody sees the command line."""

import ast
from functools import cache

import pytest

from tests.helpers.places import ROOT

MATHEMATICS = ("bench.toolkit.least_squares", "bench.toolkit.leave_one_out")
PROJECT = ("bench", "methods", "tasks", "sweeps")


@cache
def modules():
    """Every module of the project with those of the project that it imports, lazily or not."""
    paths = {}
    for package in PROJECT:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            paths[name.removesuffix(".__init__")] = path
    return {name: sorted(imported(path, paths)) for name, path in paths.items()}


def imported(path, known):
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            submodules = {f"{node.module}.{alias.name}" for alias in node.names} & known.keys()
            # "from bench import plugins" needs plugins, not what else stands in the package.
            everything = {alias.name for alias in node.names} <= {name.rpartition(".")[2] for name in submodules}
            found |= submodules if everything else submodules | {node.module}
    return {name for name in found if name.partition(".")[0] in PROJECT}


def within(name, *packages):
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def offences(importer, *allowed):
    return [
        f"{name} imports {other}"
        for name, others in modules().items()
        if within(name, *importer)
        for other in others
        if not within(other, *allowed)
    ]


def test_the_walk_sees_the_project():
    assert "bench.contracts" in modules()["methods.faast"]
    assert "bench.reports.rows" in modules()["bench.api.results"]  # imported inside a function
    assert "bench.registry" in modules()["bench.spec.expand"]
    assert "bench" not in modules()["bench.spec.expand"]
    assert len(modules()) > 40


@pytest.mark.parametrize("package", ["methods", "tasks"])
def test_plugins_import_the_contract_and_the_mathematics_alone(package):
    assert offences([package], "bench.contracts", *MATHEMATICS, package) == []
    for name, others in modules().items():
        for other in others:
            if within(name, package) and other != package and within(other, package):
                # A variant may build on the plugin that it is named after.
                allowed = other.startswith(f"{package}._") or name.startswith(f"{other}_")
                assert allowed, f"{name} imports the plugin {other}"


def test_backbones_import_the_contract_alone():
    assert offences(["bench.backbones"], "bench.contracts", "bench.backbones") == []


def test_the_contract_imports_nothing_of_the_harness():
    assert offences(["bench.contracts"], "bench.contracts", "bench.stats") == []
    assert modules()["bench.contracts.errors"] == []
    assert offences(MATHEMATICS, *MATHEMATICS) == []


def test_the_harness_names_no_plugin():
    harness = [name for name in modules() if within(name, "bench") and not within(name, "bench.backbones")]
    assert [
        f"{name} imports {other}"
        for name in harness
        for other in modules()[name]
        if within(other, "methods", "tasks", "bench.backbones")
    ] == []


@pytest.mark.parametrize(
    ("layer", "above"),
    [
        ("bench.cli.app", {"bench.__main__"}),
        (
            "bench.runs.trackers",
            {
                "bench.api",
                "bench.cli.leaderboard",
                "bench.cli.readout",
                "bench.runs.report",
                "bench.runs.runner",
                "sweeps",
            },
        ),
        ("bench.cli.run", {"bench.cli.app"}),
        ("bench.leaderboard", {"bench.cli.app", "bench.leaderboard", "bench.cli.run", "bench.runs.trackers"}),
        ("bench.runs.runner", {"bench.api", "sweeps.trials"}),
        ("bench.runs.group", {"bench.runs.runner", "sweeps.trials"}),
        ("bench.runs.single_run", {"bench.runs.group"}),
        ("bench.runs.progress", {"bench.api"}),
    ],
)
def test_nobody_below_imports(layer, above):
    importers = {name for name, others in modules().items() for other in others if within(other, layer)}
    assert importers
    assert [name for name in importers if not within(name, *above)] == []


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
