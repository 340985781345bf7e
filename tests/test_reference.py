"""The committed references, and the schemas of suites and claims, are those that plugins, commands and classes make."""

import runpy

import pytest

from tests.helpers.places import ROOT

DOCS = ROOT / "docs"
PAGES = runpy.run_path(str(DOCS / "reference.py"), run_name="reference")["PAGES"]


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_a_reference_is_current(name):
    found = (DOCS / name).read_text(encoding="utf-8")
    assert found == PAGES[name](), "make them anew: PYTHONPATH=. python docs/reference.py"
