"""Chromium for tests of HTML pages, and pages of records in it that load nothing and report no error."""

import shutil
from contextlib import contextmanager

import pytest
from axe_playwright_python.sync_playwright import Axe

from bench.results.row_sample import no_predictions
from tests.helpers.pages import made_page, without_plotly

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
PHONE = {"width": 390, "height": 740}
needs_browser = pytest.mark.skipif(BROWSER is None, reason="no chromium, chromium-browser or google-chrome on the path")


def in_first_state(page, address="#"):
    """A page of records, which several tests share, in the state of an address; a dialog is closed."""
    page.wait_for_selector("html[data-charts=ready]")  # a test may have loaded it anew
    page.evaluate("address => { history.replaceState(null, '', address); state = addressed(); showState(); }", address)
    return page


def violations(page):
    """What axe finds wrong with a page: rules, and an element that breaks each."""
    # Of each element that passes it would make a selector, too.
    found = Axe().run(page, options={"resultTypes": ["violations"], "selectors": False}).response["violations"]
    return [(one["id"], one["nodes"][0]["html"]) for one in found]


@contextmanager
def visits(browser, folder):
    """Opens pages of some records; in the end nothing was requested but their files, and the console is empty.

    plotly: whether charts are drawn; without, they take no time. parts: claims and history of the page, and methods to
    highlight.
    """
    contexts, requested, said = [], set(), []

    def visit(records, find=no_predictions, plotly=False, address="", parts=None, **options):
        path = folder / f"{len(contexts)}.html"
        text = made_page(records, find, **(parts or {}))
        path.write_text(text if plotly else without_plotly(text), encoding="utf-8")
        contexts.append(browser.new_context(**{"viewport": {"width": 1200, "height": 900}} | options))
        page = contexts[-1].new_page()
        page.on("request", lambda request: requested.add(request.url.partition("#")[0]))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(path.as_uri() + address)
        page.wait_for_selector("html[data-charts=ready]")
        return page

    yield visit
    for context in contexts:
        context.close()
    assert requested == {(folder / f"{index}.html").as_uri() for index in range(len(contexts))}
    assert said == []
