"""The hash of a plugin's code changes with what it computes, and with nothing else."""

import sys
from importlib import invalidate_caches

import pytest

from bench.toolkit.code_hash import code_hash

PLUGIN = '''"""A method."""

import logging
from math import log
from typing import TYPE_CHECKING

from bench.contracts import DataError
from hashed_plugins._means import centre as middle

if TYPE_CHECKING:
    from hashed_plugins._types import Numbers

_log = logging.getLogger(__name__)


class Mean:
    """The mean."""

    citation = "Somebody 1999, A Paper"
    power: int = 2
    """Exponent of each item."""

    def adapt(self, items: list) -> float:
        """Average the items."""
        if not items:  # nothing to average
            raise DataError(f"needs items, got {items}")
        assert len(items) < 9, "too many"
        _log.warning("averaging %s", items)
        total: float = middle([item**self.power for item in items])
        return total + log(2)


PLUGIN = Mean
'''
HELPER = '''"""Means."""


def centre(items):
    return sum(items) / len(items)
'''
TYPES = "Numbers = list[int]\n"


def forget():
    """As in a new process: no hash and no package is known."""
    code_hash.cache_clear()
    sys.modules.pop("hashed_plugins", None)
    invalidate_caches()


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Makes a package of the given modules and answers the hash of its module ``name``."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def hashed(plugin=PLUGIN, helper=HELPER, name="mean", helper_name="_means", **modules):
        folder = tmp_path / "hashed_plugins"
        folder.mkdir(exist_ok=True)
        for old in folder.glob("*.py"):
            old.unlink()
        written = {"__init__": "", name: plugin, helper_name: helper, "_types": TYPES, **modules}
        for module, code in written.items():
            (folder / f"{module}.py").write_text(code)
        forget()
        return code_hash(f"hashed_plugins.{name}")

    yield hashed
    forget()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""A method."""', '"""Another summary."""'),
        ('"""Exponent of each item."""', '"""What each item is raised to."""'),
        ('"""Average the items."""', '"""Mean."""'),
        ("  # nothing to average", ""),
        ("needs items, got {items}", "an empty support set: {len(items)} items"),
        ('"too many"', '"at most 8 items"'),
        ("averaging %s", "mean of %s"),
        ("Somebody 1999, A Paper", "Somebody 1999, A Paper, arXiv 1"),
        ("items: list) -> float", "items)"),
        ("total: float =", "total ="),
        ("import logging\nfrom math import log\n", "from math import log\nimport logging\n"),
        ("    from hashed_plugins._types import Numbers", "    from hashed_plugins._types import Others"),
        ("\n\n\nclass", "\nclass"),
        ("    power: int = 2", '    family = "memory"\n    power: int = 2'),
        ("    power: int = 2", '    size = "9 items of 3 classes"\n    power: int = 2'),
    ],
)
def test_rewording_changes_nothing(package, old, new):
    assert PLUGIN.count(old) == 1
    assert package(PLUGIN.replace(old, new)) == package()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("power: int = 2", "power: int = 3"),
        ("total + log(2)", "total - log(2)"),
        ("from math import log\n", "from math import log2 as log\n"),
        ("from math import log\n", "from numpy import log\n"),
        ("len(items) < 9", "len(items) < 10"),
        ("if not items", "if len(items) < 2"),
        ("DataError(f", "ValueError(f"),
        ('citation = "Somebody 1999, A Paper"', 'citation = "x"'),
        ("    power: int = 2", '    family = "llama"\n    power: int = 2'),
        ("    power: int = 2", '    templates = ("no text",)\n    power: int = 2'),
    ],
)
def test_another_computation_is_another_hash(package, old, new):
    assert package(PLUGIN.replace(old, new)) != package()


def test_a_helper_of_the_same_package_counts(package):
    assert package(helper=HELPER.replace("sum(items)", "max(items)")) != package()
    assert package(helper=HELPER + "\n\ndef unused():\n    return 1\n") != package()
    assert package(helper=HELPER.replace("Means.", "Averages.")) == package()
    # A name that is for type checkers alone does not.
    assert package(_types="Numbers = tuple[int]\n") == package()


def test_names_of_modules_do_not_count(package):
    moved = PLUGIN.replace("hashed_plugins._means", "hashed_plugins._centres")
    assert package(name="average") == package()
    assert package(moved, helper_name="_centres") == package()
    other = PLUGIN.replace("bench.contracts import", "bench.contracts.errors import")
    assert package(other) == package()


def test_which_helper_a_name_comes_from_counts(package):
    """Two modules that both are imported, and a name that is taken from the one or the other."""
    helper, other = HELPER + "spread = 1\n", HELPER.replace("sum", "max") + "spread = 1\n"
    plugin = PLUGIN + "\nfrom hashed_plugins._others import spread\n\nSPREAD = spread\n"
    swapped = plugin.replace("._means", ".x").replace("._others", "._means").replace(".x", "._others")
    assert package(plugin, helper, _others=other) != package(swapped, helper, _others=other)


def test_imports_are_followed_through_packages_and_relative_names(package):
    plugin = "from .one import x\nfrom . import two\nfrom hashed_plugins import *\n\nprint(x, two)\n"
    modules = {"one": "x = 1\n", "two": "y = 2\n", "deep": "z = 3\n", "__init__": "from . import deep\n"}
    found = {package(plugin, **modules)}
    for name in modules:
        found.add(package(plugin, **{**modules, name: modules[name] + "more = 1\n"}))
    assert len(found) == 1 + len(modules)


def test_a_module_without_source_is_named():
    with pytest.raises(ModuleNotFoundError, match=r"hashed_plugins\.nowhere has none"):
        code_hash("hashed_plugins.nowhere")
