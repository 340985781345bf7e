"""Every command in the documentation is one that the program takes, on things that there are."""

import re
import shlex

import pytest
import typer
import yaml
from typer import Context

from bench import registry
from bench.cli.app import app
from bench.contracts.sequence import task_names
from bench.spec.suite import Block, Suite, suite_paths
from bench.spec.texts import read_names
from tests.helpers.docs import PAGES, ROOT, commands

WRITTEN = {"cosine_prototype", "my_words", "outer_product", "soft_prototype"}
"""What the reader of a guide writes on the way."""


CASES = [(page.relative_to(ROOT).as_posix(), line) for page in PAGES for line in commands(page)]


def parsed(line):
    """The context of the command that a line is; raises for what it does not take."""
    command = typer.main.get_command(app)
    context, words = None, shlex.split(line)[1:]
    while hasattr(command, "commands") and words:
        if words[0] not in command.commands:
            raise ValueError(f"no command {words[0]!r}")
        context = Context(command, parent=context)
        command, words = command.commands[words[0]], words[1:]
    return command.make_context(line, words, parent=context)


def test_there_are_commands_to_try():
    assert len(CASES) > 40
    assert {page for page, _ in CASES} >= {"README.md", "docs/index.md", "docs/budgets.md", "docs/paper.md"}


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


def test_every_key_of_a_suite_is_described_with_its_default():
    _, whole, block = re.split(r"^## Keys of .*$", (ROOT / "docs/suites.md").read_text(encoding="utf-8"), flags=re.M)
    for table, model in ((whole, Suite), (block, Block)):
        assert sorted(re.findall(r"^\| `(\w+)` \|", table, re.M)) == sorted(model.model_fields)
    defaults = dict(re.findall(r"^\| `(\w+)` \| `(.+?)` \|", block, re.M))
    assert len(defaults) > 5
    for key, default in defaults.items():
        assert yaml.safe_load(default) == Block.model_fields[key].default, key


def test_pages_that_are_linked_are_there():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)} links to {target}"
