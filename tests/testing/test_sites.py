"""The contract suite on a method with two sites: a test at each of them, or one line that says how."""

import pytest

from tests.helpers import preloaded

MODULE = """
import pytest
from bench.testing.method_contract import MethodContract
from bench.testing.sites import each_site
from methods.hebbian import Hebbian
from methods.nearest_mean import NearestMean


class TestSites(MethodContract):
    @pytest.fixture(params=[*each_site(Hebbian), *each_site(NearestMean)])
    def method(self, request):
        return request.param


class TestWhole(MethodContract):
    @pytest.fixture
    def method(self):
        return Hebbian
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("suite", "end"),
    [
        ("TestSites", "3 passed"),
        (
            "TestWhole",
            "needs the class at one site, got Hebbian with the sites features, hidden_states; use @pytest.fix",
        ),
    ],
)
def test_a_method_with_two_sites_is_tested_at_each(tmp_path, suite, end):
    module = tmp_path / "test_hebbian_twice.py"
    module.write_text(MODULE)
    words = ["-q", "-p", "no:cacheprovider", f"{module}::{suite}", "-k", "config_describes"]
    done = preloaded.run("pytest", *words)
    assert end in done.stdout, done.stdout
    assert "Traceback" not in done.stdout
