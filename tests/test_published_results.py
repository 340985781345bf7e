"""What published pages say of results stands in their tables, and these say how they were made."""

import re
import runpy

import pytest

from tests.helpers.places import ROOT

RESULTS = ROOT / "docs" / "results"
MARKED = runpy.run_path(str(RESULTS / "regenerate.py"), run_name="regenerate")["MARKED"]
SHOTS = (1, 5, 20)


def tables(page):
    """Filled tables of a page, each with its mark."""
    for mark in MARKED.finditer(page.read_text(encoding="utf-8")):
        if mark["table"].strip():
            yield mark["fields"], mark["table"]


FILLED = [page for page in sorted(RESULTS.glob("*.md")) if any(tables(page))]


def test_most_pages_have_results():
    assert len(FILLED) >= 9


@pytest.mark.parametrize("page", FILLED, ids=lambda page: page.stem)
def test_tables_have_the_present_form_and_their_machine(page):
    for fields, table in tables(page):
        assert table.count("\nMeasured on ") == 1, fields
        assert "95% interval" in table, fields
        assert "±" not in table, fields


SCORE = re.compile(r"(?<![\d.,])\d{2}\.\d{1,2}(?!\d| ms\b| s\b| MB\b)")


def advice():
    """Rows and points of the page on choosing, each with the pages that it links to for evidence."""
    text = (ROOT / "docs" / "choosing.md").read_text(encoding="utf-8")
    part = text.partition("## Which to try first")[2].partition("## Deciding")[0]
    for item in re.findall(r"^(?:\| |- )(?:.|\n(?=  ))*", part, re.MULTILINE):
        links = re.findall(r"\]\((results/[a-z-]+\.md)", item)
        yield item, "\n".join((ROOT / "docs" / link).read_text(encoding="utf-8") for link in links)


def test_what_the_page_on_choosing_says_stands_on_the_pages_that_it_links_to():
    cited = [(item, number, pages) for item, pages in advice() for number in SCORE.findall(item)]
    assert len(cited) > 40
    for item, number, pages in cited:
        assert re.search(rf"(?<![\d.]){re.escape(number)}(?!\d)", pages), f"{number} in {item[:60]}"


def scores():
    """Scores of the quickstart's rows by task, method and shots."""
    ((_, table),) = tables(RESULTS / "quickstart.md")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines() if line.startswith("| ")]
    assert rows[0][:4] == ["task", "method", "shots", "score"]
    return {(task, method, int(shots)): score.split(" ")[0] for task, method, shots, score, *_ in rows[1:]}


def test_readme_answers_the_claim_in_three_sentences_with_and_without_the_prior():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    answer = " ".join(re.search(r"\*\*In short\.\*\* (.*?)\n\n", readme, re.DOTALL)[1].split())
    on_digits, on_lexicon, _ = re.split(r"(?<=\.) (?=[A-Z])", answer)
    found = scores()

    def at_all_shots(task, method):
        one, five, twenty = (found[task, method, shots] for shots in SHOTS)
        return f"{one}, {five} and {twenty}"

    for method in ("faast", "linear_probe", "ridge"):
        assert at_all_shots("digits", method) in on_digits
    for method in ("faast", "faast [prior_strength=0]", "linear_probe", "linear_probe [prior=auto]"):
        assert at_all_shots("lexicon", method) in on_lexicon
    assert f"the frozen model alone {found['lexicon', 'zero_shot', 0]}" in on_lexicon
