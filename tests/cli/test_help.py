"""Help of the command line: groups, whole sentences, examples, colour; and how the parser's errors read."""

import re
import shlex
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import typer
from typer import Context

from bench import __version__
from bench.cli import app as root
from bench.cli.help import group_of, summary

Bench = Callable[..., tuple[int, str, str]]
GROUPS = [root.RUN, root.READ, root.TUNE, root.EXTEND, root.KEEP]
LONGEST = 60
"""Characters that the sentences of commands and options have fewer of."""


def commands(command: Any = None, context: Any = None, name: str = "bench") -> Iterator[tuple[str, Any, Any]]:
    """Every command with its name and context, the root first."""
    command = command or typer.main.get_command(root.app)
    context = Context(command, info_name=name, parent=context, **({} if context else root.CONTEXT))
    yield context.command_path, command, context
    for inner, each in getattr(command, "commands", {}).items():
        yield from commands(each, context, inner)


ALL = [pytest.param(command, context, id=name) for name, command, context in commands()]


@pytest.mark.parametrize(("command", "context"), ALL)
def test_a_command_has_whole_sentences_and_an_example_that_it_takes(command: Any, context: Any) -> None:
    line = summary(command)
    assert line.endswith(".")
    text = command.get_help(context)
    assert "list[" not in text
    for parameter in command.get_params(context):
        assert parameter.help, parameter.name
        assert parameter.help.endswith("."), parameter.help
        sentences = re.split(r"(?<=\.) ", parameter.help)
        # The two that install completion are Typer's.
        assert "completion" in parameter.name or max(map(len, sentences)) < LONGEST, parameter.help
    if hasattr(command, "commands"):
        return
    examples = [one.strip() for one in command.epilog.strip().splitlines()]
    assert examples
    for example in examples:
        assert example in text
        path = context.command_path
        assert example.startswith(path)
        command.make_context(path, shlex.split(example.removeprefix(path)), parent=context.parent)


def test_the_root_shows_all_commands_in_groups_each_with_one_sentence(in_process: Bench) -> None:
    code, text, err = in_process("--help")
    assert (code, err) == (0, "")
    assert in_process("-h")[1] == text
    lines = text.splitlines()
    headings = [line[:-1] for line in lines if line.endswith(":") and not line.startswith(" ")]
    assert headings == [*GROUPS, "Options", "Examples"]
    command = typer.main.get_command(root.app)
    for name, each in command.commands.items():  # type: ignore[attr-defined]
        assert group_of(each) in GROUPS
        assert len(summary(each)) < LONGEST, name
        assert any(line.split() == [name, *summary(each).split()] for line in lines), name


def test_options_are_in_groups_with_their_defaults_and_short_names(in_process: Bench) -> None:
    text = " ".join(in_process("run", "--help")[1].split())
    for part in (
        "What is run:", "How much of it:", "Budgets and tuning:", "Where it runs:", "Data and results:",
        "-t, --task NAME,...", "-m, --method, --methods NAME,...", "-n, --shots N,...", "[default: 1,5]",
        "[env var: BENCH_STORE; default: runs]", "bench run quickstart --limit 20",
    ):  # fmt: skip
        assert part in text, part


def test_a_short_name_stands_for_the_same_option_in_every_command() -> None:
    short: dict[str, set[str]] = {}
    for _, command, context in commands():
        for parameter in command.get_params(context):
            long = [name for name in parameter.opts if name.startswith("--")]
            for name in set(parameter.opts) - set(long):
                if long:
                    short.setdefault(name, set()).add(long[0])
    assert {name: sorted(found) for name, found in short.items() if len(found) > 1} == {}
    assert {"-t": {"--task"}, "-m": {"--method"}, "-b": {"--backbone"}, "-s": {"--store"}}.items() <= short.items()


def test_colour_is_for_terminals_without_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    (_, command, context), *_ = commands()
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[" in command.get_help(context)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in command.get_help(context)


def test_the_version(in_process: Bench) -> None:
    assert in_process("--version") == (0, f"bench {__version__}\n", "")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["lst"], "no command 'lst' of bench; did you mean 'list'?"),
        (["records", "verfy"], "no command 'verfy' of bench records; did you mean 'verify'?"),
        (["run", "--shot", "1"], "bench run has no option '--shot'; did you mean --shots?; see bench run --help"),
        (
            ["run", "--device", "cuda"],
            "bench run has no option '--device'; did you mean --accelerator?; see bench run --help",
        ),
        (
            ["check", "--current", "runs"],
            "bench check has no option '--current'; did you mean --store?; see bench check --help",
        ),
        (["list", "method"], "no value 'method' of WHAT; did you mean 'methods'?; see bench list --help"),
        (
            ["leaderboard", "--format", "x"],
            "no value 'x' of --format; known: csv, html, json, markdown, table; see bench leaderboard --help",
        ),
        (["run", "--episodes", "many"], "bench run: --episodes must be a valid integer; see bench run --help"),
        (
            ["sweep", "--trials", "0"],
            "bench sweep: --trials must be greater than or equal to 1; see bench sweep --help",
        ),
        (["show"], "bench show needs NAME; see bench show --help"),
        (["compare", "a", "b", "c"], "bench compare: Got unexpected extra argument(s) (c); see bench compare --help"),
        (["run", "--task", "digits"], "a run on digits needs a method: --method NAME; see 'bench list methods'"),
        (["run", "--method", "knn"], "a run of knn needs a task: --task NAME; see 'bench list tasks'"),
    ],
)
def test_what_the_parser_refuses_is_one_line_with_a_next_step(words: list[str], line: str, in_process: Bench) -> None:
    code, out, err = in_process(*words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(f"bench: {line}")
