"""The page's table in a real browser: its address, its rows in blocks, exports, comparisons, and accessibility."""

import csv
import io
import re

import numpy as np
import pytest
from playwright.sync_api import expect

from bench.reports.company import SIGN
from bench.reports.compare import differences
from bench.reports.rows import rows
from bench.reports.site import site
from bench.reports.tables import as_csv
from bench.results.predictions import QueryPredictions
from bench.stats.paired import compare_episodes
from tests.helpers.browser import PHONE, in_first_state, needs_browser, violations, visits
from tests.helpers.company import two_rows
from tests.helpers.hostile_names import HOSTILE, INVISIBLE, MARKUP, hostile
from tests.helpers.pages import board, made_page, many, scored
from tests.helpers.records import made, run

pytestmark = [pytest.mark.slow, needs_browser]

DESK = {"width": 1440, "height": 900}
NAMES = [text for text in HOSTILE if "\ud800" not in text]


@pytest.fixture(scope="module")
def open_page(browser, tmp_path_factory):
    """A page of the board, which several tests share."""
    with visits(browser, tmp_path_factory.mktemp("page")) as visit:
        yield visit(board())


@pytest.fixture
def page(open_page):
    """The page in its first state."""
    return in_first_state(open_page)


def shown(page):
    return page.locator("#results tr[data-row] .open").all_inner_texts()


def as_number(cell):
    try:
        return float(cell)
    except ValueError:
        return cell


def table(text):
    """Rows of a CSV, numbers as such."""
    return [{name: as_number(cell) for name, cell in row.items()} for row in csv.DictReader(io.StringIO(text))]


def forty():
    """Forty results of all statuses on one task, two numbers of shots and long names."""
    texts = ("a_method_with_quite_a_long_name", {"setting": "x" * 60})
    more = [scored(f"m{number}", 40.0 + number, shots=1 + 4 * (number % 2)) for number in range(22)]
    return [*board(), *more, scored(texts[0], 75.0, config=texts[1])]


@pytest.mark.parametrize("count", [0, 1, 40])
def test_every_page_is_accessible_in_both_themes_and_widths(visit, count):
    records = {0: [], 1: [scored("alone", 50.0)], 40: forty()}[count]
    page = visit(records, plotly=count == 40)
    assert page.evaluate("rows.length") == count
    # Colours do not depend on the width: of four pairs, two have each of both.
    for size, scheme in ((DESK, "dark"), (PHONE, "light")):
        page.set_viewport_size(size)
        page.emulate_media(color_scheme=scheme)
        assert violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    if count == 40:
        page = visit(records)  # without charts, which take a second to draw for each task
    for size in (DESK, PHONE):
        page.set_viewport_size(size)
        for setting in page.locator("#setting option").all():
            page.select_option("#setting", value=setting.get_attribute("value"))
            wide = page.evaluate("byId('table').scrollWidth - byId('table').clientWidth")
            # Nothing is clipped at a desk; on a phone all columns are reached by swiping.
            assert size is PHONE or wide == 0
    if count:
        page.evaluate("byId('table').scrollLeft = 10000")
        last, method = page.get_by_role("columnheader").last, page.locator("#results tbody .method").first
        assert last.bounding_box()["x"] + last.bounding_box()["width"] <= PHONE["width"]
        assert 0 <= method.bounding_box()["x"] < 30
        page.locator("#results .open").first.click()
        expect(page.get_by_role("dialog")).to_be_visible()
    if count == 40:
        assert violations(page) == []


def test_filters_sorting_and_the_open_row_are_in_the_address(page):
    page.select_option("#setting", label="words · b")
    page.get_by_role("columnheader", name="first answer").get_by_role("button").click()
    assert page.url.partition("#")[2] == "task=words&backbone=b&sort=time_to_first_query"
    page.locator("#results .open", has_text="a").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    page.reload()
    expect(dialog).to_contain_text("words · b · 5 shots")
    page.go_back()
    expect(dialog).to_be_hidden()
    assert shown(page) == ["b", "a"]
    expect(page.get_by_role("columnheader", name="first answer")).to_have_attribute("aria-sort", "ascending")
    page.go_back()
    expect(page.get_by_role("columnheader", name="first answer")).to_have_attribute("aria-sort", "none")
    page.go_back()
    expect(page.locator("#count")).to_have_text("15 of 17 results")
    page.go_forward()
    expect(page.locator("#setting option:checked")).to_have_text("words · b")
    page.fill("#search", "b")
    page.select_option("#setting", label="all tasks")
    page.check("#front")
    page.reload()
    expect(page.locator("#count")).to_have_text(re.compile("of 17 results"))
    assert page.evaluate("chosen()") == {"setting": "", "shots": "", "status": "", "words": "b", "front": True}


def test_an_address_that_names_nothing_shows_the_page_as_ever(page):
    for address in ("#task=nowhere&shots=7&sort=nothing&row=0&against=1&front=maybe", "#words", "#row=a%"):
        page.evaluate("address => history.replaceState(null, '', address)", address)
        page.reload()
        page.wait_for_selector("html[data-charts=ready]")
        expect(page.locator("#count")).to_have_text("15 of 17 results")
        expect(page.get_by_role("dialog")).to_be_hidden()


def test_times_measured_in_company_are_marked(visit):
    page = visit(two_rows())
    texts = {text.split()[0]: text.count(SIGN) for text in page.locator("#results tr[data-row]").all_inner_texts()}
    assert texts == {"busy": 3, "quiet": 0}
    page.locator("#results .open", has_text="busy").click()
    expect(page.get_by_role("dialog")).to_contain_text("other processes used 60% of 2 cores")
    expect(page.get_by_role("dialog")).to_contain_text("here: made up, 2 cores, 2 threads")


def test_exports_have_the_shown_rows_in_their_order_and_a_runs_command_is_copied(visit):
    records = board()
    records[0] = records[0].model_copy(update={"provenance": {"command": ["bench", "run", "--set", "m.text=a b"]}})
    page = visit(records, address="#task=*")

    assert table(page.evaluate("exportText('csv')")) == table(as_csv(rows(records)))
    page.select_option("#setting", label="words · b")
    page.get_by_role("columnheader", name="score").get_by_role("button").click()
    assert [row["method"] for row in table(page.evaluate("exportText('csv')"))] == ["b", "a"]
    markdown = page.evaluate("exportText('markdown')")
    lines = markdown.splitlines()
    assert lines[0].startswith("| method | shots | score | tier | ranks | first answer s |")
    assert lines[1].startswith("|:---|---:|---:|---:|---:|---:|")
    assert [line.split(" | ")[0] for line in lines[2:4]] == ["| b", "| a"]
    assert "words on b" in markdown
    latex = page.evaluate("exportText('latex')").splitlines()
    assert [line for line in latex if line.startswith("\\")] == [
        r"\begin{tabular}{lrrrrrrrrrll}", r"\toprule", r"\midrule", r"\bottomrule", r"\end{tabular}",
    ]  # fmt: skip
    body = [line for line in latex if line.endswith(r"\\")]
    assert [line.split(" & ")[0] for line in body] == ["method", "b", "a"]
    assert {line.count(" & ") for line in body} == {11}
    with page.expect_download() as found:
        page.get_by_role("button", name="Download").click()
    assert found.value.suggested_filename == "leaderboard.csv"
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.select_option("#format", "markdown")
    page.get_by_role("button", name="Copy").click()
    expect(page.locator("#exported")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == markdown
    page.select_option("#setting", label="t · b")
    page.select_option("#shots", "5")
    page.locator("#results .open", has_text="cheap").first.click()
    command = page.get_by_role("dialog").locator(".command")
    command.get_by_role("button").click()
    expect(command.get_by_role("button")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == "bench run --set 'm.text=a b'"
    expect(page.get_by_role("dialog").locator("figure.strip figcaption").first).to_contain_text("lowest 69.0")


def test_rows_that_differ_in_queries_or_classes_alone_have_names_of_their_own(visit):
    changes = [{"queries": 10}, {"queries": 20}, {"queries": 20, "ways": 3}]
    page = visit([scored("a", 50.0, **change) for change in changes])
    names = {"a, all ways, 10 queries", "a, all ways, 20 queries", "a, 3 ways, 20 queries"}
    for text in (page.evaluate("exportText('markdown')"), page.evaluate("exportText('latex')")):
        assert all(name in text for name in names)
    assert set(page.locator("#results tbody th .config").all_text_contents()) == {name[3:] for name in names}
    assert {row["queries"] for row in table(page.evaluate("exportText('csv')"))} == {10, 20}
    assert {text[1:] for text in page.locator("#legend button").all_text_contents()} == names


def test_no_export_takes_a_name_for_a_formula_or_for_markup(visit):
    records = [one for name in NAMES for one in hostile(name)]
    page = visit(records, address="#task=*")
    texts = {name: page.evaluate(f"exportText('{name}')") for name in ("csv", "markdown", "latex")}
    for name, text in texts.items():
        assert not INVISIBLE.search(text), name
    for row in csv.reader(io.StringIO(texts["csv"])):
        assert not [cell for cell in row if re.match(r"\s*[=+@\uff1d\t\r]|\s*-\D", cell)], row
    lines = texts["markdown"].splitlines()
    assert not MARKUP.search(texts["markdown"]), MARKUP.search(texts["markdown"])
    assert len({line.count("|") for line in lines if line.startswith("|")}) == 1
    # A command of LaTeX is one of ours; what is left of a cell without them has no active character.
    body = [line.removesuffix(r" \\") for line in texts["latex"].splitlines() if line.endswith(r"\\")]
    assert len({len(line.split(" & ")) for line in body}) == 1
    names = "backslash|asciitilde|asciicircum|less|greater|bar|asciigrave|endash|dagger|periodcentered"
    ours = re.compile(rf"\\(text({names})|char34){{}}|\\[$&#%_{{}}]|{{\[}}|{{\*}}|-{{}}")
    for cell in (cell for line in body for cell in line.split(" & ")):
        assert not re.search(r"[\\{}$&#%_^~<>|`\"*\[]", ours.sub("", cell)), cell


def test_a_comparison_on_the_page_has_the_formulas_of_the_statistics(page):
    rng = np.random.default_rng(0)
    cases = []
    for number, (count, seeds) in enumerate([(6, 1), (9, 3), (12, 1), (40, 2), (40, 5), (600, 3), (7, 1), (8, 1)]):
        a, b = rng.choice(np.arange(40, 100, 2.5), (2, count))
        if number == 6:
            b = a.copy()  # no difference
        if number == 7:
            b = a - 3.0  # always the same
        if number == 2:
            b = np.where(np.arange(count) < 9, a, b)  # three that differ
        clusters = np.repeat(np.arange(seeds), -(-count // seeds))[:count].tolist() if seeds > 1 else None
        cases.append((a, b, clusters))
    for a, b, clusters in cases:
        found = page.evaluate(
            "([a, b, seeds]) => comparePaired(a, b, seeds, [0, 100])", [a.tolist(), b.tolist(), clusters]
        )
        wanted = compare_episodes(a, b, clusters)
        interval = wanted.interval.clipped(-100, 100)
        assert found["test"] == wanted.test
        assert [found[name] for name in ("a", "b", "difference", "low", "high", "p")] == pytest.approx(
            [wanted.a, wanted.b, wanted.difference, interval.low, interval.high, wanted.p_value], rel=1e-8, abs=1e-9
        )


def against(page, own, other):
    """The text of the comparison of two rows, each named by its method."""
    page.locator("#results .open", has_text=re.compile(f"^{own}$")).click()
    expect(page.locator("#detail-title")).to_have_text(own)
    value = page.locator("#against option", has_text=re.compile(f"^{other},")).get_attribute("value")
    page.select_option("#against", value)
    section = page.locator("dialog .comparison")
    expect(section).to_contain_text(f"{own} minus {other}")
    text = " ".join(section.inner_text().split())
    page.keyboard.press("Escape")
    return text


def figures(wanted, sign=1):
    """Difference and interval of a comparison, as the page prints them; sign: -1 for the other way round."""
    paired = wanted.paired
    ends = sorted([sign * paired.interval.low, sign * paired.interval.high])
    return [
        wanted.metric.difference_text(value).replace("-", "\N{MINUS SIGN}")
        for value in (sign * paired.difference, *ends)
    ]


def test_two_rows_are_compared_as_by_the_command_or_the_page_says_why_not(visit):
    records = [
        *(run("good", noise=seed, seed=seed) for seed in (0, 1)),
        *(run("fair", less=0.6, noise=10 + seed, seed=seed) for seed in (0, 1)),
        run("few", less=2.0, seed=9),
        run("other_shots", shots=1),
        run("other_ways", ways=3),
        scored("brief", 80.0),
        scored("brief_too", 70.0),
    ]
    (wanted,) = differences(records, "good", "fair", lambda record: None)
    page = visit(records)
    text = against(page, "good", "fair")
    difference, low, high = figures(wanted)
    assert f"difference {difference}, accuracy in %" in text
    assert f"95% interval {low} to {high}" in text
    assert f"by {wanted.paired.test}, 40 episodes" in text
    assert "shared episodes 40" in text
    assert {"a": "good is better.", "none": "No significant difference."}[wanted.verdict] in text
    assert "bench compare good fair --task t --shots 5" in text
    assert "They share no episode: seeds 0, 1 and 9." in against(page, "good", "few")
    assert "Their support sets differ: 5 shots and 1 shot." in against(page, "good", "other_shots")
    assert "drawn differently: ways (all and 3)" in against(page, "good", "other_ways")
    text = against(page, "brief", "brief_too")
    assert "by exact swaps, 2 episodes" in text
    assert "Too few episodes to find any difference." in text
    expect(page).to_have_url(re.compile(r"\.html#?$"))


def test_rows_of_one_episode_are_compared_by_their_queries(visit):
    rng, kept, records = np.random.default_rng(0), {}, []
    for method, share in (("good", 0.9), ("fair", 0.6), ("near", 0.58), ("unkept", 0.5)):
        right = (rng.random(60) < share).astype(float)
        spec = {"method": method, "config": {}, "shots": "full", "episodes": 1, "queries": None}
        value = 100 * float(right.mean())
        records.append(made(spec, value=value, episode_scores=[value], n_queries=60))
        if method != "unkept":
            kept[records[-1].id] = QueryPredictions.of("accuracy", [np.arange(60)], [right[:, None]])

    def find(record):
        return kept.get(record.id)

    page = visit(records, find)
    for own, other in (("good", "fair"), ("fair", "near")):
        (wanted,) = differences(records, own, other, find)
        for names, sign in (((own, other), 1), ((other, own), -1)):
            text = against(page, *names)
            difference, low, high = figures(wanted, sign)
            assert f"difference {difference}, accuracy in %" in text
            assert f"95% interval {low} to {high}" in text
            assert "by McNemar, 60 queries" in text
            assert {"a": f"{own} is better.", "none": "No significant difference."}[wanted.verdict] in text
    assert wanted.verdict == "none"
    text = against(page, "good", "unkept")
    assert "1 shared episode is too few for a test by episodes" in text
    assert "95% interval" not in text


def test_a_browser_that_cannot_unpack_the_rows_gets_a_message(browser, tmp_path):
    path = tmp_path / "page.html"
    path.write_text(made_page(board()), encoding="utf-8")
    context = browser.new_context()
    context.add_init_script("delete window.DecompressionStream")
    page = context.new_page()
    page.goto(path.as_uri())
    expect(page.get_by_role("alert")).to_contain_text("cannot show the results: it lacks DecompressionStream; Chrome")
    context.close()


def test_pages_of_the_site_are_accessible_and_fit_a_phone(browser):
    files = site(rows(board()), board(), "")
    context = browser.new_context(viewport=PHONE, color_scheme="dark")
    page = context.new_page()
    for name in ("index.html", "methods/good.html"):
        page.set_content(files[name])
        assert violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    context.close()


@pytest.mark.campaign
def test_five_thousand_records_are_drawn_in_blocks_and_accessible(visit):
    page = visit(many(5000), address="#task=*")
    expect(page.locator("#count")).to_have_text("5000 of 5000 results")
    assert page.locator("#results tr[data-row]").count() < 200
    assert violations(page) == []
