"""Every command in the documentation is one that the program takes, on things that there are."""

import re

import pytest
import yaml

from bench import registry
from bench.contracts.sequence import task_names
from bench.spec.list_texts import read_names
from bench.spec.suite import suite_paths
from tests.helpers.docs import PAGES, ROOT, commands, parsed

WRITTEN = {"cosine_prototype", "my_words", "outer_product", "soft_prototype"}
"""What the reader of a guide writes on the way."""


CASES = [(page.relative_to(ROOT).as_posix(), line) for page in PAGES for line in commands(page)]


def test_there_are_commands_to_try():
    assert len(CASES) > 40
    assert {page for page, _ in CASES} >= {"README.md", "docs/index.md", "docs/budgets.md", "docs/paper.md"}


@pytest.mark.slow
@pytest.mark.parametrize(("page", "line"), CASES)
def test_a_command_is_one_that_the_program_takes(page, line):
    given = parsed(line).params
    for kind, names in (("tasks", given.get("task")), ("methods", given.get("method"))):
        for name in [each for given_name in read_names(names or []) for each in task_names(given_name)]:
            variants = registry.task_variants() if kind == "tasks" else []
            assert name.partition("@")[0] in {*registry.find(kind), *variants, *WRITTEN}, f"{page}: {line}"
    suite = given.get("suite")
    assert suite is None or suite in suite_paths() or suite.endswith(".yaml"), f"{page}: {line}"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("bench rum quickstart", "no command 'rum'"),
        ("bench run --methodz faast", "No such option"),
        ("bench leaderboard --format pdf", "'pdf' is not one of"),
    ],
)
def test_a_wrong_command_would_be_found(line, reason):
    with pytest.raises(Exception, match=reason):
        parsed(line)


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_a_front_page_leads_first_to_an_answer_on_ones_own_images(page):
    first = re.search(r"\]\(([^)]+)\)", (ROOT / page).read_text(encoding="utf-8"))
    assert (ROOT / page).parent / first[1] == ROOT / "docs" / "first-answer.md"


def test_every_page_is_in_the_navigation():
    def files(entries):
        for entry in entries:
            target = next(iter(entry.values()))
            yield from files(target) if isinstance(target, list) else [target]

    named = list(files(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]))
    pages = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.*")
             if path.suffix in {".md", ".ipynb"}}  # fmt: skip
    assert sorted(named) == sorted(pages)


def test_pages_that_are_linked_are_there():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)} links to {target}"
