"""Templates: forms of the prompts of a task, and what another form changes.

A task of texts or of text generation declares its forms as ``Task.templates``; its prompts have the first of them, from
which the text of each item is taken. The class prompts of an image task are replaced as a whole.
"""

from typing import TYPE_CHECKING

from bench.contracts.errors import DataError
from bench.contracts.kinds import Kind

if TYPE_CHECKING:
    from bench.contracts import Task

TEXT, LABEL = "{text}", "{label}"
PLACES = {Kind.TEXT_CLASSIFICATION: TEXT, Kind.TEXT_GENERATION: TEXT, Kind.IMAGE_CLASSIFICATION: LABEL}
"""What stands in a template in place of an item's text or a class name, by kind of task."""
CLASS_PROMPTS = (
    "itap of a {label}.",
    "a bad photo of the {label}.",
    "a origami {label}.",
    "a photo of the large {label}.",
    "a {label} in a video game.",
    "art of the {label}.",
    "a photo of the small {label}.",
)
"""Class prompts that CLIP's authors found best for ImageNet (Radford et al. 2021, arXiv 2103.00020), as published."""


def templates_of(task: "Task | type[Task]") -> tuple[str, ...]:
    """The templates of a task.

    Args:
        task: The task.

    Returns:
        Forms of prompts, of image tasks of class prompts; the first is the task's own. Empty for a task without. Those
        of a translation have the names of its languages, where the class alone has ``{source}`` and ``{target}``.
    """
    if task.kind is Kind.IMAGE_CLASSIFICATION:
        own = "; ".join(task.prompts)
        return (own, *(each for each in CLASS_PROMPTS if each != own))
    if task.kind not in PLACES:
        return ()
    forms, languages = task.templates, getattr(task, "languages", {})
    for end in ("source", "target"):
        language = languages.get(getattr(task, f"{end}_language", ""))
        forms = tuple(form.replace(f"{{{end}}}", language) for form in forms) if language else forms
    return forms


def text_within(prompt: str, template: str) -> str:
    """The text of an item in its prompt.

    Args:
        prompt: The prompt.
        template: The form of the prompt.

    Returns:
        What stands at the place of ``{text}``.

    Raises:
        DataError: If the prompt does not have the form.
    """
    before, _, after = template.partition(TEXT)
    if not (prompt.startswith(before) and prompt.endswith(after) and len(prompt) >= len(before) + len(after)):
        raise DataError(f"prompts must have the form of the task's first template, {template!r}; got {prompt[:60]!r}")
    return prompt[len(before) : len(prompt) - len(after)]


def revision_mark(template: str) -> str:
    """What a template adds to the revision of a task's data.

    Args:
        template: The form.

    Returns:
        The end of the revision.
    """
    return f"; template: {template!r}"
