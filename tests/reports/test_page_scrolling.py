"""A page of hundreds of results in a real browser: the work of a step does not depend on how many rows there are."""

import pytest
from playwright.sync_api import expect

from tests.helpers.browser import in_first_state, needs_browser
from tests.helpers.pages import made_page, many, without_plotly
from tests.helpers.scrolling import STEP, WATCH, Work, acted, scroll

pytestmark = [pytest.mark.slow, needs_browser]

COUNT = 600
"""Rows of the table, which is what takes time; further seeds of a row are in parts that wait to be opened. Pages of
10,000 are timed by tests/perf/page.py."""
QUICK = 2 * STEP
"""Pixels of a step: a test need not see every frame."""
DRAWN = 500
"""Most lines of the table that are in the document at once."""


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "page.html"
    # All tasks have no charts.
    path.write_text(without_plotly(made_page(many(COUNT))), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def page(browser, file):
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.add_init_script(WATCH)
    page.goto(f"{file.as_uri()}#task=*")
    page.wait_for_selector("html[data-table=ready]")
    yield page
    context.close()


def search(page, text, count):
    """CPU seconds of the page from an input in the search to the rows that it leaves."""
    work = Work(page)
    began = work.seconds()
    acted(page, "#search", text)
    expect(page.locator("#count")).to_have_text(f"{count} of {COUNT} results")
    return work.seconds() - began


def of_a_step(page):
    """CPU seconds of a step of scrolling, and what was seen."""
    work = Work(page)
    began = work.seconds()
    found = scroll(page, QUICK)
    return (work.seconds() - began) / len(found.frames), found


def test_a_step_through_all_rows_takes_no_longer_than_one_through_a_quarter(page):
    expect(page.locator("#count")).to_have_text(f"{COUNT} of {COUNT} results")
    whole, found = of_a_step(page)
    assert len(found.frames) > COUNT * 20 / QUICK
    assert 0 < found.lines <= DRAWN
    search(page, "method1", COUNT * 11 // 40)  # 1 and 10 to 19
    part, of_part = of_a_step(page)
    assert 0 < of_part.lines <= DRAWN
    assert whole < 2 * part + 0.005
    assert whole < 0.1


def test_a_letter_and_a_sort_leave_the_table_ready(page):
    assert search(page, "", COUNT) < 2
    acted(page, "#results th[data-field=value] button")
    expect(page.locator("#results tr[data-row]").first).to_contain_text("86.0")
    assert page.locator("#results tr[data-row]").count() <= DRAWN


def test_rows_near_the_seen_ones_are_drawn_and_the_header_stays(page):
    in_first_state(page, "#task=*")
    expect(page.locator("#count")).to_have_text(f"{COUNT} of {COUNT} results")
    table, header = page.locator("#table"), page.locator("#results thead th").first
    widths = "[...document.querySelectorAll('#results thead th')].map(cell => cell.offsetWidth)"
    before = page.evaluate(widths)
    for share, seen in ((0.5, COUNT // 2 + 1), (1, COUNT + 1)):
        table.evaluate("(table, share) => { table.scrollTop = table.scrollHeight * share; }", share)
        # Not wait_for_function, which the page's content policy forbids to evaluate a text again.
        expect(page.locator(f'#results tr[aria-rowindex="{seen}"]')).to_be_attached()
        assert page.locator("#results tr[data-row]").count() < 400
        assert header.bounding_box()["y"] == pytest.approx(table.bounding_box()["y"], abs=2)
    last = page.evaluate("labelOf(rows[shown.at(-1)])")
    expect(page.locator("#results tr[data-row]").last.locator(".open")).to_have_text(last)
    expect(page.locator("#results tr[data-row]").last).to_have_attribute("aria-rowindex", str(COUNT + 1))
    assert page.evaluate(widths) == before
    page.get_by_role("columnheader", name="score").get_by_role("button").click()
    assert page.evaluate("byId('table').scrollTop") == 0
    expect(page.locator("#results tr[data-row]").first).to_contain_text("86.0")
