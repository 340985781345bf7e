"""Fixtures of tests of HTML pages: a browser, and pages in it that load nothing and report no error."""

import pytest

from bench.results.row_sample import no_predictions
from tests.helpers.browser import BROWSER, FLAGS
from tests.helpers.pages import made_page


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=BROWSER, args=FLAGS)


@pytest.fixture
def visit(browser, tmp_path):
    """Opens a page of some records; in the end nothing was requested but its file, and the console is empty.

    until: "charts" or "table", which is ready earlier. parts: claims and history of the page, and methods to highlight.
    """
    contexts, requested, said = [], set(), []

    def visit(records, find=no_predictions, until="charts", address="", parts=None, **options):
        path = tmp_path / f"{len(contexts)}.html"
        path.write_text(made_page(records, find, **(parts or {})), encoding="utf-8")
        contexts.append(browser.new_context(**{"viewport": {"width": 1200, "height": 900}} | options))
        page = contexts[-1].new_page()
        page.on("request", lambda request: requested.add(request.url.partition("#")[0]))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(path.as_uri() + address)
        page.wait_for_selector(f"html[data-{until}=ready]")
        return page

    yield visit
    for context in contexts:
        context.close()
    assert requested == {(tmp_path / f"{index}.html").as_uri() for index in range(len(contexts))}
    assert said == []
