"""The committed references of plugins are those that their plugins make."""

import runpy

import pytest

from tests.helpers.places import ROOT

MADE = runpy.run_path(str(ROOT / "docs" / "reference.py"), run_name="reference")


@pytest.mark.parametrize("group", MADE["INTRODUCTIONS"])
def test_a_reference_is_current(group):
    found = MADE["path_of"](group).read_text(encoding="utf-8")
    assert found == MADE["page"](group), "make them anew: python docs/reference.py"
