"""The HTML page in a real browser: sorted, filtered, hovered over and opened, by mouse and by keyboard."""

import re

import numpy as np
import pytest
from playwright.sync_api import expect

from bench.reports.history.findings import Findings
from bench.reports.history.page import page as history_page
from bench.results.predictions import ClassPredictions, QueryPredictions
from bench.spec.tuning import Tuning
from tests.helpers.browser import in_first_state, needs_browser, visits
from tests.helpers.histories import history
from tests.helpers.pages import HOSTILE, board, hostile, scored

PHONE = {"width": 360, "height": 740}

pytestmark = [pytest.mark.slow, needs_browser]

CONTRAST = """() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (channel) => ((channel /= 255) <= 0.04045 ? channel / 12.92 : ((channel + 0.055) / 1.055) ** 2.4);
  const luminance = ([red, green, blue]) => 0.2126 * light(red) + 0.7152 * light(green) + 0.0722 * light(blue);
  const behind = (node) => {
    for (; node; node = node.parentElement) {
      const found = parse(getComputedStyle(node).backgroundColor);
      if (found.length === 3 || found[3] === 1) return found;
    }
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const weak = {};
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !node.checkVisibility() || node.closest("svg")) continue;
    const pair = [parse(getComputedStyle(node).color), behind(node)].map(luminance);
    const ratio = (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05);
    if (ratio < 4.5) weak[node.className || node.tagName] = ratio;
  }
  return weak;
}"""
"""Elements whose text stands out less from what is behind it than WCAG AA asks for."""
PAPER = "getComputedStyle(document.body).backgroundColor"


@pytest.fixture(scope="module")
def pages(browser, tmp_path_factory):
    """Pages of the board, which several tests share: with its charts, and without."""
    with visits(browser, tmp_path_factory.mktemp("pages")) as visit:
        yield {plotly: visit(board(), plotly=plotly) for plotly in (True, False)}


@pytest.fixture(scope="module")
def phone_page(browser, tmp_path_factory):
    """A page with charts on a phone, which several tests share: a long name, and markup in names."""
    long = scored("a_method_with_quite_a_long_name", 75.0, config={"setting": "x" * 200})
    attack = scored(f"s{HOSTILE}", 60.0, task=f"t{HOSTILE}", backbone=f"b{HOSTILE}", config={"c": HOSTILE})
    with visits(browser, tmp_path_factory.mktemp("phone")) as visit:
        yield visit([*board(), long, attack, hostile()], plotly=True, viewport=PHONE, has_touch=True)


@pytest.fixture
def phone(phone_page):
    """The page on a phone in its first state."""
    return in_first_state(phone_page)


def methods(page):
    """Method and shots of the rows that are shown, in their order."""
    texts = "rows => rows.map(row => ['.open', 'td.number'].map(place => row.querySelector(place).innerText))"
    return [tuple(row) for row in page.locator("#results tbody tr:visible").evaluate_all(texts)]


def header(page, name):
    return page.get_by_role("columnheader", name=re.compile(rf"^{name}"))


def closed(page):
    """Closes the dialog by its key and waits until the address names no row: a reload before it would open it anew."""
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page).not_to_have_url(re.compile("row="))


def at_five(page):
    page.select_option("#shots", "5")
    return [method for method, _ in methods(page)]


def test_a_header_sorts_the_better_end_first_then_turns_round_then_ranks_again(plain):
    ranked = at_five(plain)
    assert ranked == ["good", "good", "good", "fair", "fair", "fair", "cheap", "poor", "broken", "dear", "textual"]
    cost = header(plain, "first answer s")
    cost.get_by_role("button").click()
    assert cost.get_attribute("aria-sort") == "ascending"
    rising = at_five(plain)
    assert (rising[0], rising[7]) == ("cheap", "poor")
    assert sorted(rising[8:]) == ["broken", "dear", "textual"]
    cost.get_by_role("button").click()
    assert cost.get_attribute("aria-sort") == "descending"
    falling = at_five(plain)
    # What has no cost is last in both directions.
    assert (falling[0], falling[7], sorted(falling[8:])) == ("poor", "cheap", ["broken", "dear", "textual"])
    cost.get_by_role("button").click()
    assert cost.get_attribute("aria-sort") == "none"
    assert at_five(plain) == ranked


def test_sorting_by_keyboard(plain):
    plain.select_option("#shots", "5")
    button = header(plain, "score").get_by_role("button")
    button.focus()
    plain.keyboard.press("Enter")
    assert header(plain, "score").get_attribute("aria-sort") == "descending"
    assert methods(plain)[0][0] == "good"
    plain.keyboard.press("Space")
    assert header(plain, "score").get_attribute("aria-sort") == "ascending"
    assert methods(plain)[0][0] == "poor"
    expect(button).to_be_focused()
    outline = button.evaluate("button => getComputedStyle(button).outlineStyle")
    assert outline == "solid"


def test_shots_sort_as_numbers_with_the_full_set_last(plain):
    header(plain, "shots").get_by_role("button").click()
    shots = [shots for _, shots in methods(plain)]
    assert shots == ["0", "1", "1", *["5"] * 11, "full"]


def test_the_lowest_perplexity_is_the_better_end(plain):
    plain.select_option("#setting", label="words · b")
    header(plain, "score").get_by_role("button").click()
    assert header(plain, "score").get_attribute("aria-sort") == "ascending"
    assert [method for method, _ in methods(plain)] == ["b", "a"]


def test_filters(plain):
    expect(plain.locator("#count")).to_have_text("15 of 17 results")
    plain.select_option("#setting", label="all tasks")
    expect(plain.locator("#count")).to_have_text("17 of 17 results")
    expect(plain.locator(".charts")).to_be_hidden()
    expect(plain.locator("#no-charts")).to_be_visible()
    assert header(plain, "task").is_visible()
    plain.select_option("#setting", label="t · b")
    assert not header(plain, "task").is_visible()
    for status, method in (("over_budget", "dear"), ("skipped", "textual"), ("failed", "broken")):
        plain.select_option("#status", status)
        assert methods(plain) == [(method, "5")]
    plain.select_option("#status", "")
    plain.fill("#search", " GOO")
    assert methods(plain) == [("good", "1"), *[("good", "5")] * 3, ("good", "full")]
    plain.select_option("#shots", "full")
    assert methods(plain) == [("good", "full")]
    plain.check("#front")
    assert methods(plain) == [("good", "full")]
    plain.fill("#search", "no such method")
    expect(plain.locator("#none")).to_be_visible()
    expect(plain.locator("#count")).to_have_text("0 of 17 results")


def test_a_filter_that_another_task_does_not_have_is_let_go(plain):
    plain.select_option("#shots", "full")
    plain.select_option("#setting", label="words · b")
    assert plain.locator("#shots").input_value() == ""
    assert len(methods(plain)) == 2


def marker(page, chart, label):
    """The point of a chart that hovering tells of, hovered over."""
    page.locator(f"#{chart} .plot").scroll_into_view_if_needed()
    hover, seen = page.locator(f"#{chart} .hoverlayer .hovertext"), []
    for point in page.locator(f"#{chart} .scatterlayer .point").all():
        box = point.bounding_box()
        page.mouse.move(0, 0)
        expect(hover).to_have_count(0)
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=3)
        expect(hover).to_have_count(1)
        seen.append(hover.text_content())
        if label in seen[-1]:
            return hover
    raise AssertionError(f"no point of {chart} tells of {label}: {seen}")


def test_the_charts_place_what_has_a_score_and_name_what_has_none(drawn):
    # A method without a support set is there at every number of shots.
    assert drawn.locator("#time .scatterlayer .point").count() == 9
    assert drawn.locator("#left-out").inner_text() == (
        "Without a score, and so in no chart: broken (failed), dear (over budget), textual (skipped)"
    )
    # Every chart fills the place that it has.
    widths = drawn.locator(".charts figure:visible").evaluate_all(
        "figures => figures.map(figure => [figure, figure.querySelector('.main-svg')].map(one => one.clientWidth))"
    )
    assert len(widths) == 6
    assert all(figure == svg for figure, svg in widths)
    assert (
        drawn.locator("#time .plot")
        .get_attribute("aria-label")
        .startswith("Scatter of 9 results. On the front: free, cheap, ")
    )
    legend = drawn.locator("#legend li").all_inner_texts()
    assert [item.lstrip("●■◆▲▼") for item in legend] == ["good", "fair", "cheap", "poor", "free"]


def test_hovering_tells_a_point_and_a_click_opens_it(drawn):
    hover = marker(drawn, "time", "poor")
    expect(hover).to_contain_text("60.0 [")
    expect(hover).to_contain_text("first answer 20.0 s")
    drawn.mouse.down()
    drawn.mouse.up()
    expect(drawn.get_by_role("dialog")).to_contain_text("poor")


def test_the_lowest_perplexity_is_highest_in_the_chart(drawn):
    drawn.select_option("#setting", label="words · b")
    heights = drawn.evaluate("document.querySelector('#time .plot').layout.yaxis.range")
    assert heights[0] > heights[1]


def test_score_against_budget_is_there_where_budgets_are(drawn):
    assert drawn.locator("#by-budget").is_visible()
    assert drawn.locator("#axis").input_value() == "adapt_seconds"
    assert drawn.locator("#by-budget .scatterlayer .point").count() == 4
    places = drawn.evaluate("document.querySelector('#by-budget .plot').data.map(trace => trace.x)")
    assert places == [[1, 3], [1, 3]]
    drawn.select_option("#setting", label="words · b")
    assert not drawn.locator("#by-budget").is_visible()


def test_score_against_shots_has_a_line_per_method_in_the_order_of_shots(drawn):
    lines = drawn.evaluate("document.querySelector('#by-shots .plot').data.map(trace => [trace.x, trace.y])")
    assert [[1, 5, "full"], [64.0, 90.0, 95.0]] in lines
    assert [[1, 5], [65.0, 70.0]] in lines


def test_tuned_rows_say_so_and_are_one_line_whatever_was_found(visit):
    tuning = Tuning(
        trials=30, seconds=2.5, sampler="tpe", objective="score", validation="splits", score=50.0, study="s"
    )
    found = [scored("good", 60.0 + shots, shots=shots, config={"x": 0.1 * shots}, tuning=tuning) for shots in (1, 5)]
    page = visit([*board(), *found])
    lines = page.evaluate("document.querySelector('#by-shots .plot').data.map(trace => [trace.x, trace.y])")
    assert [[1, 5], [61.0, 65.0]] in lines
    assert page.get_by_text("tuned by 30 trials in 2.50 s").count() == 2


def test_a_row_opens_by_mouse_with_all_that_its_records_say(plain):
    records = board()
    plain.select_option("#shots", "5")
    plain.locator("#results tbody tr:visible", has_text="fair").first.locator("td.number").last.click()
    dialog = plain.get_by_role("dialog")
    for record in (one for one in records if one.spec.method == "fair" and not one.spec.budget.limits()):
        expect(dialog).to_contain_text(record.id)
    for text in ("fair", "81.0 [", "2 runs", "Scores by episode", "Costs by stage", "± 0.0100", "linux_vm_hwm",
                 "5 labelled examples per class", "Provenance", "2026-01-01T00:00:00+00:00", '"identity"'):  # fmt: skip
        expect(dialog).to_contain_text(text)
    facts = dialog.locator("dl.facts")
    expect(facts).to_contain_text("protocol")
    expect(facts).to_contain_text(records[0].costs.device)
    plain.get_by_role("button", name="Close").click()
    expect(dialog).to_be_hidden()


def test_a_row_of_classification_opens_with_its_confusion_matrix(visit):
    classes = ClassPredictions((HOSTILE, "dog"), np.array([0, 1, 1]), np.array([0, 0, 1]))
    kept = QueryPredictions.of("accuracy", [np.arange(3)], [np.array([[1.0], [0.0], [1.0]])], classes)
    page = visit([scored("cheap", 70.0)], lambda record: kept)
    page.locator("#results .open").click()
    matrix = page.locator("dialog .confusion")
    expect(matrix.locator("thead th")).to_have_text([HOSTILE, "dog"])
    expect(matrix.locator("tbody td")).to_have_text(["1", "0", "1", "1"])


def test_limits_and_what_exceeded_them(plain):
    plain.select_option("#status", "over_budget")
    plain.locator("#results .open:visible").click()
    limits = plain.get_by_role("dialog").locator("section", has_text="Limits")
    expect(limits).to_be_visible()
    assert limits.locator("tbody tr").all_inner_texts() == [
        "adapt_seconds\t2.00\t9.00\texceeded",
        "steps\t10.0\twithin\tkept",
    ]
    expect(plain.get_by_role("dialog")).to_contain_text("adapt_seconds is 9, 2 allowed")


def test_a_row_opens_by_keyboard_and_the_focus_comes_back(plain):
    plain.locator("#front").focus()
    for _ in range(40):
        plain.keyboard.press("Tab")
        if plain.evaluate("document.activeElement.classList.contains('open')"):
            break
    opened = plain.evaluate_handle("document.activeElement")
    plain.keyboard.press("Enter")
    dialog = plain.get_by_role("dialog")
    expect(dialog).to_be_visible()
    assert plain.evaluate("document.querySelector('dialog').contains(document.activeElement)")
    for _ in range(10):
        plain.keyboard.press("Tab")
        if plain.evaluate("document.activeElement.tagName") == "SUMMARY":
            break
    plain.keyboard.press("Enter")  # the first run's own fold
    assert plain.evaluate("document.querySelector('dialog details').open") is False
    closed(plain)
    assert plain.evaluate("opened => document.activeElement === opened", opened)


def test_it_follows_the_systems_theme_and_every_text_can_be_read(plain):
    for scheme, paper in (("dark", "rgb(20, 22, 26)"), ("light", "rgb(255, 255, 255)")):
        plain.emulate_media(color_scheme=scheme)
        plain.reload()
        plain.wait_for_selector("html[data-charts=ready]")
        assert plain.evaluate(PAPER) == paper
        assert plain.evaluate(CONTRAST) == {}
        plain.locator("#results .open").first.click()
        expect(plain.get_by_role("dialog")).to_be_visible()
        assert plain.evaluate(CONTRAST) == {}
        closed(plain)


def test_the_theme_can_be_changed_and_the_charts_follow(plain):
    grid = "document.querySelector('#time .plot').layout.xaxis.gridcolor"
    before = plain.evaluate(grid)
    plain.locator("#theme").click()
    assert plain.evaluate(PAPER) == "rgb(20, 22, 26)"
    assert plain.locator("#theme").get_attribute("aria-pressed") == "true"
    assert plain.evaluate(grid) != before
    plain.locator("#theme").click()
    assert plain.evaluate(grid) == before


def test_a_phone_shows_it_without_scrolling_sideways(phone):
    for setting in phone.locator("#setting option").all():
        phone.select_option("#setting", value=setting.get_attribute("value"))
        assert phone.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    phone.select_option("#setting", label="t · b")
    phone.locator("#results .open", has_text="a_method").tap()
    expect(phone.get_by_role("dialog")).to_be_visible()
    assert phone.evaluate("document.querySelector('dialog').scrollWidth") <= PHONE["width"]
    assert phone.get_by_role("button", name="Close").bounding_box()["x"] < PHONE["width"]


def test_a_phone_tells_a_status_that_is_not_ok(phone):
    row = phone.locator("#results tbody tr", has_text="dear")
    assert "over budget adapt_seconds is 9" in " ".join(row.inner_text().split())


def test_markup_in_names_stays_text_wherever_it_is_shown(phone):
    phone.select_option("#setting", label=f"t{HOSTILE} · b{HOSTILE}")
    marker(phone, "time", "<img src=x")
    buttons = phone.locator("#results .open").all()
    assert len(buttons) == 2
    for button in buttons:
        button.click()
        expect(phone.get_by_role("dialog")).to_contain_text(HOSTILE)
        closed(phone)
    assert phone.locator("img").count() == 0
    assert phone.evaluate("window.hacked") is None
    expect(phone.locator("#results")).to_contain_text(HOSTILE)
    expect(phone.locator("#legend")).to_contain_text(HOSTILE)


def test_a_board_without_any_score_is_still_a_table(visit):
    page = visit([hostile()])
    assert len(methods(page)) == 1
    expect(page.locator(".charts")).to_be_hidden()


def test_the_page_of_a_history_filters_its_lines_and_loads_nothing(browser, tmp_path):
    path, requested, said = tmp_path / "history.html", [], []
    findings = Findings.of(history(0, "same", planted=[("u", "probe", "accuracy", 14, -1.0)], number=20))
    path.write_text(history_page(findings), encoding="utf-8")
    context = browser.new_context(viewport=PHONE, color_scheme="dark")
    page = context.new_page()
    page.on("request", lambda request: requested.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.goto(path.as_uri())
    expect(page.locator("figure:visible")).to_have_count(24)
    assert page.evaluate(CONTRAST) == {}
    page.emulate_media(color_scheme="light")
    assert page.evaluate(CONTRAST) == {}
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    page.check("#history-changed")
    expect(page.locator("figure:visible")).to_have_count(1)
    expect(page.locator("#history-count")).to_have_text("1 of 24 lines")
    page.fill("#history-search", "closed")
    expect(page.locator("figure:visible")).to_have_count(0)
    page.click("tbody a")  # what a link leads to is shown
    expect(page.locator("figure.reached")).to_be_visible()
    context.close()
    assert (requested, said) == ([path.as_uri()], [])
