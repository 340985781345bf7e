"""Runs in words: names of tasks and methods in tables, budgets, shots."""

import re
from collections.abc import Sequence
from typing import Any

from bench.contracts.kinds import PromptStyle, Template
from bench.contracts.site import name_at_site
from bench.spec.run_spec import RunSpec, Shots
from bench.toolkit.counted import noun_of

FORM = re.compile(r" \[(prompt|template|limit)=.*\]$", re.DOTALL)
"""What ``form_text`` adds to the name of a task."""


def config_text(spec: RunSpec) -> str:
    """Fields that differ from the defaults, as typed on the command line; tuned values with four digits.

    The site is a part of the method's name.

    Args:
        spec: A run.

    Returns:
        For example ``alpha=0.8,scale=10``; empty for the defaults.
    """
    if not spec.config:
        return ""

    def text(value: Any) -> str:
        if value is None:
            return "null"
        return f"{value:.4g}" if spec.tuning is not None and isinstance(value, float) else str(value)

    return ",".join(f"{name}={text(value)}" for name, value in sorted(spec.config.items()) if name != "site")


def budget_text(spec: RunSpec) -> str:
    """The limits of a run, as on the command line.

    Args:
        spec: A run.

    Returns:
        Budget and match, separated by a semicolon; empty without either.
    """
    return ";".join(str(part) for part in (spec.budget, spec.match) if part and str(part))


def task_text(spec: RunSpec) -> str:
    """Name of a task in tables, with what makes other tables of it.

    Args:
        spec: A run.

    Returns:
        ``TASK``, or ``TASK [prompt=STYLE,template=NUMBER,limit=N]`` with the prompt style where that is not plain, the
        template where it is not 0, and the limit of a quick look.
    """
    return form_text(*spec.form(), spec.limit)


def form_text(task: str, prompt: PromptStyle, template: Template = 0, limit: int | None = None) -> str:
    """Name of a task in tables, see ``task_text``.

    Args:
        task: The task.
        prompt: Style of its prompts.
        template: Form of its prompts.
        limit: Most queries of a quick look; None for whole runs.

    Returns:
        The name.
    """
    marks = [f"prompt={prompt}"] if prompt != "plain" else []
    if template != 0:
        marks.append(f"template={template!r}")
    if limit is not None:
        marks.append(f"limit={limit}")
    return f"{task} [{','.join(marks)}]" if marks else task


def task_and_form(text: str) -> tuple[str, str]:
    """The parts of a name by ``task_text``.

    Args:
        text: The name.

    Returns:
        The task, and its form and limit in brackets; the latter is empty where the name has none.
    """
    found = FORM.search(text)
    return (text, "") if found is None else (text[: found.start()], found.group())


def method_text(spec: RunSpec) -> str:
    """Name of a method in tables, with the fields that differ from its defaults.

    Args:
        spec: A run.

    Returns:
        ``NAME``, ``NAME@SITE`` or either with fields in brackets.
    """
    name, config = name_at_site(spec.method, spec.config), config_text(spec)
    return f"{name} [{config}]" if config else name


def run_text(spec: RunSpec) -> str:
    """A run in words, as progress shows it.

    Args:
        spec: A run.

    Returns:
        Task, method with the fields that differ from its defaults, budget, shots and seed.
    """
    name = f"{task_text(spec)} {method_text(spec)} {budget_text(spec)}".rstrip()
    return f"{name} shots={spec.shots} seed={spec.seed}"


def shots_rank(shots: Shots) -> float:
    """Sort key of numbers of shots; the full support set is last.

    Args:
        shots: The number, or "full".

    Returns:
        The number, or infinity.
    """
    return float("inf") if shots == "full" else shots


def shots_text(shots: Shots) -> str:
    """A number of shots in words.

    Args:
        shots: The number, or "full".

    Returns:
        "1 shot", "5 shots" or "full shots".
    """
    return f"{shots} {noun_of(shots, 'shot')}"


def several_shots_text(several: Sequence[Shots]) -> str:
    """Numbers of shots in words.

    Args:
        several: The numbers.

    Returns:
        For example "1 shot" or "1, 5 shots".
    """
    return shots_text(several[0]) if len(several) == 1 else f"{', '.join(map(str, several))} shots"


def ways_text(ways: int | None) -> str:
    """A number of classes of an episode in words.

    Args:
        ways: The number; None for all classes.

    Returns:
        "5 ways" or "all ways".
    """
    return f"{ways or 'all'} {noun_of(ways, 'way')}"


def queries_text(queries: int | None) -> str:
    """A number of queries of a class in words.

    Args:
        queries: The number; None for all queries.

    Returns:
        "1 query", "20 queries" or "all queries".
    """
    return f"{queries or 'all'} {noun_of(queries, 'query', 'queries')}"
