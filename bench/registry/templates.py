"""Templates of tasks by number or text, checked."""

from typing import TYPE_CHECKING

from bench.contracts.errors import UsageError, shown
from bench.contracts.kinds import Template
from bench.toolkit.templates import LABEL, PLACES, templates_of

if TYPE_CHECKING:
    from bench.contracts import Task


def known_templates(name: str, task: "Task", requested: list[Template]) -> list[Template]:
    """Templates of a task, checked.

    Args:
        name: Name of the task, for messages.
        task: The task.
        requested: Numbers, texts, or "all".

    Returns:
        The templates, each once; a text that is one of the task's own by its number.

    Raises:
        UsageError: For a number that the task does not have, and for a text without the place of an item or a class.
    """
    own = templates_of(task)
    found: list[Template] = []
    for each in requested:
        found += range(max(1, len(own))) if each == "all" else [_known(name, task, own, each)]
    return list(dict.fromkeys(found))


def template_text(task: "Task", template: Template) -> str:
    """The text of a template that is known.

    Args:
        task: The task.
        template: Its number, or the text.

    Returns:
        The text.
    """
    return template if isinstance(template, str) else templates_of(task)[template]


def _known(name: str, task: "Task", own: tuple[str, ...], template: Template) -> Template:
    """A template by its number if it has one. Raises UsageError if the task cannot have it."""
    if template == 0:
        return 0
    if not own:
        raise UsageError(f"{name} has one form of prompts, template 0; got template {_shown(template)}; leave it out")
    if isinstance(template, int):
        if template >= len(own):
            plugin = name.partition(":")[0]
            raise UsageError(
                f"{name} has the templates 0 to {len(own) - 1}, got {template}; bench show {plugin} prints them"
            )
        return template
    place = PLACES[task.kind]
    if place not in template:
        what = "a class name" if place == LABEL else "an item's text"
        raise UsageError(
            f"a template of {name} needs {place} where {what} stands, got {_shown(template)}; "
            f"write it like {_shown(own[0])}, or give a number from 0 to {len(own) - 1}"
        )
    return own.index(template) if template in own else template


def _shown(template: Template) -> str:
    return shown(template, 60)
