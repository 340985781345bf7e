"""The opening, the tabs and the charts in a real browser."""

import pytest
from playwright.sync_api import expect

from bench.reports.claim_cells import FoundRecords
from bench.reports.claim_tables import section as claims_section
from bench.reports.claims import judged
from bench.reports.history.findings import Findings
from bench.reports.history.page import section as history_section
from bench.results.row_sample import no_predictions
from bench.spec.claim import load_claims
from tests.helpers.browser import needs_browser, violations, visits
from tests.helpers.histories import history
from tests.helpers.pages import board, scored

pytestmark = [pytest.mark.slow, needs_browser]


def crowd():
    """A dozen methods on two tasks, FAAST the worst of them."""
    names = [*(f"m{number:02}" for number in range(14)), "faast"]
    return [
        scored(name, 90.0 - 2 * number, seconds=2.1 + number / 10, task=task, shots=shots)
        for number, name in enumerate(names)
        for task in "tu"
        for shots in (1, 5)
    ]


@pytest.fixture(scope="module")
def pages(browser, tmp_path_factory):
    """Pages of the crowd with all tabs, which several tests share: with its charts, and without."""
    findings = Findings.of(history(0, "same", planted=[("u", "probe", "accuracy", 14, -1.0)], number=20))
    reports = judged(load_claims("faast"), FoundRecords([]), no_predictions, lambda own, other: None)
    parts = {"claims": claims_section(reports), "history": history_section(findings)}
    with visits(browser, tmp_path_factory.mktemp("pages")) as visit:
        yield {plotly: visit(crowd(), plotly=plotly, parts=parts) for plotly in (True, False)}


def traces(page, chart):
    return page.evaluate(f"document.querySelector('#{chart} .plot').data.map(({{x, y, line}}) => [x, y, line?.width])")


def test_every_time_axis_has_ticks(drawn):
    counts = drawn.evaluate("""() => {
      const found = [];
      for (let low = -7; low < 4; low += 0.17) {
        for (const span of [0.02, 0.1, 0.3, 0.37, 0.5, 0.9, 1.4, 2, 3.3, 5, 8]) {
          const ticks = logTicks(low, low + span);
          const inside = ticks.every((tick) => Math.log10(tick) >= low - 1e-6 && Math.log10(tick) <= low + span + 1e-6);
          found.push([ticks.length, inside]);
        }
      }
      return found;
    }""")
    assert {inside for _, inside in counts} == {True}
    assert 3 <= min(count for count, _ in counts) <= max(count for count, _ in counts) <= 9
    # 2.1 to 3.5 s lie between the ticks at 2 and 5 that were there before.
    texts = drawn.locator("#time .xtick text").all_text_contents()
    assert len(texts) >= 3
    assert all(1.5 <= float(text) <= 4.5 for text in texts)


def test_a_click_on_the_legend_pins_a_method_and_the_address_keeps_it(plain):
    legend = plain.locator("#legend")
    # FAAST is the worst and never grey; the others in colour are the best.
    names = [text[1:] for text in legend.get_by_role("button").all_inner_texts()]
    assert names == [*(f"m{number:02}" for number in range(7)), "faast"]
    legend.get_by_role("button", name="m01").click()
    pinned = legend.get_by_role("button", name="m01")
    expect(pinned).to_have_attribute("aria-pressed", "true")
    expect(pinned).to_be_focused()
    assert "highlight=m01" in plain.url
    assert [[1, 5], [88, 88], 3] in traces(plain, "by-shots")
    legend.get_by_role("combobox", name="Highlight another method").select_option("m12")
    expect(legend.get_by_role("button", name="m12")).to_have_attribute("aria-pressed", "true")
    plain.reload()
    plain.wait_for_selector("html[data-charts=ready]")
    expect(legend.get_by_role("button", name="m12")).to_have_attribute("aria-pressed", "true")
    legend.get_by_role("button", name="m12").press("Enter")
    assert plain.url.count("highlight=") == 1


def test_costs_stand_against_shots_and_budgets(visit):
    page = visit(board())
    expect(page.locator("#chart-cost")).to_have_value("state_mb")
    assert [[1, 5], [0.25, 0.25]] in [trace[:2] for trace in traces(page, "cost-by-shots")]
    assert [[1, 3], [0.25, 0.25]] in [trace[:2] for trace in traces(page, "cost-by-budget")]
    page.select_option("#chart-cost", "adapt_seconds")
    assert "chart=adapt_seconds" in page.url
    assert [[1, 3], [1, 3]] in [trace[:2] for trace in traces(page, "cost-by-budget")]
    expect(page.locator("#cost-by-budget figcaption")).to_contain_text("adapt, s, by limits of adapt_seconds")
    page.select_option("#setting", label="words · b")
    for chart in ("cost-by-shots", "cost-by-budget", "by-budget"):
        expect(page.locator(f"#{chart}")).to_be_hidden()


def test_the_matrix_leads_to_its_rows_tasks_and_costs(plain):
    matrix = plain.get_by_role("region", name="Methods by tasks at 5 shots")
    expect(matrix.locator("tbody tr:visible")).to_have_count(13)  # a dozen, and FAAST
    plain.get_by_role("button", name="2 more methods").click()
    expect(matrix.locator("tbody tr:visible")).to_have_count(15)
    first = matrix.locator("tbody tr").first.locator("td")
    assert first.all_inner_texts() == ["1.0", "\u2013", "90.0 2.10", "90.0 2.10"]
    plain.select_option("#opening-cost", "peak_memory_mb")
    assert matrix.locator("tbody tr").first.locator("td small").all_inner_texts() == ["10.0", "10.0"]
    plain.select_option("#opening-shots", "1")
    expect(plain.get_by_role("region", name="Methods by tasks at 1 shot")).to_be_visible()
    expect(matrix).to_be_hidden()
    plain.get_by_role("region", name="Methods by tasks at 1 shot").get_by_role("button", name="u").click()
    expect(plain.locator("#setting option:checked")).to_have_text("u · b")
    expect(plain.locator("#shots")).to_have_value("1")
    plain.get_by_role("region", name="Methods by tasks at 1 shot").locator("td[data-row]").first.click()
    expect(plain.get_by_role("dialog")).to_contain_text("m00")
    plain.reload()
    plain.wait_for_selector("html[data-table=ready]")
    expect(plain.locator("#opening-shots")).to_have_value("1")
    expect(plain.locator("#opening-cost")).to_have_value("peak_memory_mb")


def test_claims_and_history_are_tabs_by_mouse_keyboard_and_address(plain):
    results, claims, past = (plain.get_by_role("tabpanel", name=name) for name in ("Results", "Claims", "History"))
    expect(results).to_be_visible()
    plain.get_by_role("tab", name="Claims").click()
    expect(claims).to_be_visible()
    expect(results).to_be_hidden()
    assert "tab=claims" in plain.url
    claims.locator("summary").first.click()
    plain.emulate_media(color_scheme="dark")
    assert violations(plain) == []
    plain.get_by_role("tab", name="Claims").press("ArrowRight")
    expect(past).to_be_visible()
    expect(plain.get_by_role("tab", name="History")).to_be_focused()
    past.get_by_label("With a change only").check()
    expect(past.locator("figure:visible")).to_have_count(1)
    past.locator("tbody a").first.click()
    expect(past.locator("figure.reached")).to_be_focused()
    plain.emulate_media(color_scheme="light")
    assert violations(plain) == []
    assert "tab=history" in plain.url  # a link to a line leaves the state in the address
    plain.reload()
    plain.wait_for_selector("html[data-charts=ready]")
    expect(past).to_be_visible()
    plain.get_by_role("tab", name="History").press("Home")
    expect(results).to_be_visible()


def test_charts_of_a_page_that_was_opened_at_another_tab_are_as_wide_as_ever(drawn):
    chart = drawn.locator("#time .main-svg").first
    width = chart.bounding_box()["width"]
    drawn.get_by_role("tab", name="History").click()
    drawn.reload()
    drawn.wait_for_selector("html[data-charts=ready]")
    expect(chart).to_have_count(0)
    drawn.get_by_role("tab", name="History").press("Home")
    assert chart.bounding_box()["width"] == width
