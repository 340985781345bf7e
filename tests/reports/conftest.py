"""Fixtures of tests of HTML pages: a browser, and pages in it that load nothing and report no error."""

import pytest

from tests.helpers.browser import BROWSER, FLAGS, in_first_state, visits


@pytest.fixture(scope="package")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=BROWSER, args=FLAGS)


@pytest.fixture
def visit(browser, tmp_path):
    """Opens pages of some records; see ``visits``."""
    with visits(browser, tmp_path) as visit:
        yield visit


@pytest.fixture
def drawn(pages):
    """The module's page with charts in its first state; a module has ``pages``, with their charts and without."""
    return in_first_state(pages[True])


@pytest.fixture
def plain(pages):
    """The module's page without charts in its first state."""
    return in_first_state(pages[False])
