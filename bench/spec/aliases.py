"""Names of the first edition: keys, and tasks that were plugins of their own and are variants or prompt styles now."""

from typing import Any

from bench.contracts.errors import UsageError
from bench.contracts.kinds import PromptStyle

TASK_ALIASES: dict[str, tuple[str, PromptStyle]] = {
    "iwslt2017_de_en": ("iwslt2017:de-en", "plain"),
    "iwslt2017_de_en_chat": ("iwslt2017:de-en", "chat"),
    "iwslt2017_en_de": ("iwslt2017:en-de", "plain"),
    "iwslt2017_en_de_chat": ("iwslt2017:en-de", "chat"),
    "iwslt2017_en_fr": ("iwslt2017:en-fr", "plain"),
    "iwslt2017_en_fr_chat": ("iwslt2017:en-fr", "chat"),
    "iwslt2017_fr_en": ("iwslt2017:fr-en", "plain"),
    "iwslt2017_fr_en_chat": ("iwslt2017:fr-en", "chat"),
    "lexicon_chat": ("lexicon", "chat"),
    "mini_imagenet_ids": ("mini_imagenet:ids", "plain"),
    "multi30k_de_en": ("multi30k:de-en", "plain"),
    "multi30k_en_fr": ("multi30k:en-fr", "plain"),
    "multi30k_fr_en": ("multi30k:fr-en", "plain"),
    "text_folder_chat": ("text_folder", "chat"),
    "wikitext103_sliding": ("wikitext103:sliding", "plain"),
}
"""Present name and prompt style of each such task."""
OLD_KEYS = {"n_shot": "shots", "n_episodes": "episodes", "n_query": "queries", "n_way": "ways"}
"""Keys of suites, studies and records of the first edition, with their present names."""


def renamed_keys(values: Any) -> Any:
    """Rename keys of the first edition.

    Args:
        values: A mapping; anything else is returned unchanged.

    Returns:
        The mapping with present keys.
    """
    return {OLD_KEYS.get(key, key): value for key, value in values.items()} if isinstance(values, dict) else values


def current_task(values: Any) -> Any:
    """Fields of a run with the present name of their task.

    Args:
        values: A mapping with ``task`` and possibly ``prompt``; anything else is returned unchanged.

    Returns:
        The same mapping; a name of the first edition is replaced, and its prompt style added where it was a chat.

    Raises:
        UsageError: For the name of a chat together with another prompt style.
    """
    if not isinstance(values, dict) or values.get("task") not in TASK_ALIASES:
        return values
    name = values["task"]
    task, prompt = TASK_ALIASES[name]
    if prompt == "plain":
        return {**values, "task": task}
    if values.get("prompt", prompt) != prompt:
        raise UsageError(
            f"{name} is an old name of the task {task} with the prompt style {prompt}, got prompt={values['prompt']}; "
            f"use the task {task} with this prompt style"
        )
    return {**values, "task": task, "prompt": prompt}


def stream_name(task: str) -> str:
    """The name that the random streams of a task's episodes and methods are seeded by.

    A variant keeps the name that it had as a task of its own (``iwslt2017:de-en`` that of ``iwslt2017_de_en``), so that
    it draws the same episodes and scores as before. All prompt styles of a task draw the same episodes.

    Args:
        task: ``name`` or ``name:argument``.

    Returns:
        The name of the streams.
    """
    name, colon, argument = task.partition(":")
    return f"{name}_{argument.replace('-', '_')}" if colon else name
