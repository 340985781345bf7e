"""Docstrings: public functions have a section ``Args:``, by themselves or at the method that they override."""

import ast

import pytest

from tests.helpers.places import ROOT

WINGS = (
    "bench/api", "bench/backbones", "bench/contracts", "bench/readouts", "bench/registry", "bench/scaffold",
    "bench/spec", "bench/toolkit", "sweeps", "tasks",
)  # fmt: skip
OF_LIBRARIES = {"on_train_batch_end"}
"""Methods that override one of a library's."""
FILES = [path for wing in WINGS for path in sorted((ROOT / wing).glob("*.py")) if path.name != "metric.py"]


def functions(path):
    """Public functions and methods of a file, with their docstrings and whether they have parameters."""

    def visit(node):
        for child in ast.iter_child_nodes(node):
            public = not getattr(child, "name", "_").startswith("_")
            if isinstance(child, ast.ClassDef) and public:
                yield from visit(child)
            elif isinstance(child, ast.FunctionDef) and public:
                arguments = child.args
                names = {each.arg for each in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
                yield child.name, ast.get_docstring(child) or "", bool(names - {"self", "cls"})

    return list(visit(ast.parse(path.read_text(encoding="utf-8"))))


@pytest.fixture(scope="module")
def described():
    """Names of methods whose arguments are described somewhere."""
    return {name for path in FILES for name, docstring, _ in functions(path) if "Args:" in docstring}


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_arguments_are_described(path, described):
    missing = [
        name
        for name, docstring, has_parameters in functions(path)
        if has_parameters and "Args:" not in docstring and name not in described | OF_LIBRARIES
    ]
    assert missing == []
