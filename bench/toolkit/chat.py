"""Prompts as turns of a chat: marks of turns in the texts of a task, which a backbone replaces by its chat template.

Methods join texts: a prompt with its answer and the separator, demonstrations before a query. The marks stay in the
joined texts, so that every method sees the same prompt, and chat templates concern only the place where a backbone
tokenises a text. Demonstrations become earlier turns of one conversation.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from inspect import get_annotations
from pathlib import Path

from datasets import Dataset

from bench.contracts.errors import DataError
from bench.contracts.kinds import Kind
from bench.contracts.references import Target
from bench.contracts.task import Pool, Task, TaskData

SYSTEM, USER, ASSISTANT, END = "\ufdd0", "\ufdd1", "\ufdd2", "\ufdd3"
"""Marks of turns, the beginning of each role's and the end of the assistant's; noncharacters of Unicode."""
_MARK = re.compile(f"([{SYSTEM}{USER}{ASSISTANT}{END}])")
_ORDER = re.compile(f"({SYSTEM}?{USER}{ASSISTANT}{END})*({SYSTEM}?{USER}{ASSISTANT})?")
_ROLES = {SYSTEM: "system", USER: "user", ASSISTANT: "assistant"}
CHAT_KINDS = (Kind.TEXT_CLASSIFICATION, Kind.TEXT_GENERATION)
"""Kinds of tasks whose prompts can be turns of a chat."""


def user_turn(prompt: str, system: str | None = None) -> str:
    """A prompt as a turn of the user, up to where the assistant's answer begins.

    Args:
        prompt: Text of the turn.
        system: System message before it; None for the one of the model's template.

    Returns:
        The text with marks of turns.

    Raises:
        DataError: If the prompt holds a mark of its own.
    """
    if _MARK.search(prompt):
        raise DataError(f"a text must not hold U+FDD0 to U+FDD3, which mark turns of a chat; got {prompt[:60]!r}")
    opening = "" if system is None else SYSTEM + system
    return f"{opening}{USER}{prompt}{ASSISTANT}"


@dataclass(frozen=True)
class Conversation:
    """The turns of a text.

    Attributes:
        messages: Complete turns, each with ``role`` and ``content`` as chat templates take them.
        answer: The beginning of the assistant's turn after them, possibly empty; None where its last turn is ended.
    """

    messages: tuple[dict[str, str], ...]
    answer: str | None

    @classmethod
    def of(cls, text: str) -> "Conversation | None":
        """Parse a text; a system message that joined texts repeat is kept once.

        Args:
            text: A text with or without marks of turns.

        Returns:
            The conversation; None for a text without marks.

        Raises:
            DataError: If the marks are not in the order of a conversation.
        """
        before, *parts = _MARK.split(text)
        if not parts:
            return None
        marks, said = parts[::2], parts[1::2]
        ended = [words for mark, words in zip(marks, said, strict=True) if mark == END]
        if before or any(ended) or not _ORDER.fullmatch("".join(marks)):
            raise DataError(f"a chat needs turns of user and assistant one after another, got {text[:60]!r}")
        messages = [
            {"role": _ROLES[mark], "content": words}
            for number, (mark, words) in enumerate(zip(marks, said, strict=True))
            if mark != END and not (mark == SYSTEM and number)
        ]
        answer = messages.pop()["content"] if marks[-1] == ASSISTANT else None
        return cls(tuple(messages), answer)

    def replaced(self, texts: Mapping[str, str]) -> "Conversation":
        """The turns with some texts in them replaced.

        Args:
            texts: Replacements, applied one after another.

        Returns:
            A copy.
        """

        def changed(words: str) -> str:
            for old, new in texts.items():
                words = words.replace(old, new)
            return words

        messages = tuple({**message, "content": changed(message["content"])} for message in self.messages)
        return Conversation(messages, None if self.answer is None else changed(self.answer))


def chat_prompts(prompts: Sequence[str]) -> tuple[str, ...]:
    """Class prompts of a chat: a class name is embedded at the beginning of the assistant's turn, as in an answer.

    Args:
        prompts: Class prompts of the plain task.

    Returns:
        The prompts with marks of turns.
    """
    return tuple(user_turn("") + prompt.lstrip() for prompt in prompts)


def chat_data(data: TaskData, system: str | None) -> TaskData:
    """The data of a task with its prompts as turns of a chat.

    A prompt becomes the user's turn. Class names and targets become the assistant's, without the white space that
    separates them from a plain prompt.

    Args:
        data: Data of a task of text classification or generation.
        system: System message of every prompt; None for the one of the model's template.

    Returns:
        The same items and labels, under a revision of their own.
    """

    def turns(pool: Pool) -> Pool:
        prompts = [user_turn(prompt, system) for prompt in pool.inputs["input"]]
        targets = None if pool.targets is None else [_begun(target) for target in pool.targets]
        return Pool(Dataset.from_dict({"input": prompts}), pool.labels, targets)

    # The words "a chat" are left to records of the first edition: those draw other episodes of the same items.
    revision = f"{data.revision}; prompt: chat, system: {system!r}"
    classes = tuple(name.lstrip() for name in data.classes)
    return TaskData(turns(data.support), turns(data.query), classes, revision, data.notes)


def _begun(target: Target) -> Target:
    """Reference texts as the assistant's turn, without the white space before them."""
    return target.lstrip() if isinstance(target, str) else tuple(text.lstrip() for text in target)


class ChatTask(Task):
    """A task with prompts as turns of a chat and its instruction as system message; all else is the plain task's."""

    def __init__(self, plain: Task) -> None:
        """Wrap a task.

        Args:
            plain: A task of one of CHAT_KINDS.
        """
        self.plain = plain
        for name in get_annotations(Task).keys() - {"variants", "version"}:
            setattr(self, name, getattr(plain, name))
        self.prompts = chat_prompts(plain.prompts)
        self.separator = END
        self.templates = ()
        self.instruction = ""
        if plain.system_message is None and plain.instruction:
            self.system_message = plain.instruction.strip()
        self.content_free = tuple(user_turn(prompt, self.system_message) for prompt in plain.content_free)

    def load(self, data: Path | None) -> TaskData:
        """Load the plain task and put its prompts into turns of a chat.

        Args:
            data: Folder of local copies; None for the task's own source.

        Returns:
            The data as a chat.
        """
        return chat_data(self.plain.load(data), self.system_message)
