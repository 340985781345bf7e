"""Variables of the environment are set as long as their context lasts."""

import os

import pytest

from bench.toolkit.environment import variable


@pytest.mark.parametrize("earlier", [None, "", "earlier"])
def test_an_earlier_value_comes_back_after_an_error_too(monkeypatch, earlier):
    if earlier is None:
        monkeypatch.delenv("TESTS_VARIABLE", raising=False)
    else:
        monkeypatch.setenv("TESTS_VARIABLE", earlier)
    seen = []

    def end():
        with variable("TESTS_VARIABLE", "now"):
            seen.append(os.environ["TESTS_VARIABLE"])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        end()
    assert seen == ["now"]
    assert os.environ.get("TESTS_VARIABLE") == earlier
