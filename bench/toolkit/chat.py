"""Prompts as turns of a chat: a task marks turns in its texts, a backbone writes them as its chat template has it.

Methods put texts together: a prompt with its answer and the separator, demonstrations before a query. Marks pass
through all of that, so that every method sees the same prompt, and templates concern only the place where a backbone
makes tokens of a text. Demonstrations come out as earlier turns of one conversation.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from datasets import Dataset

from bench.contracts.errors import DataError
from bench.contracts.kinds import Kind
from bench.contracts.task import Pool, Task, TaskData

SYSTEM, USER, ASSISTANT, END = "\ufdd0", "\ufdd1", "\ufdd2", "\ufdd3"
"""Where turns begin, and where the assistant's ends: characters that Unicode keeps out of texts for such use."""
_MARK = re.compile(f"([{SYSTEM}{USER}{ASSISTANT}{END}])")
_ORDER = re.compile(f"({SYSTEM}?{USER}{ASSISTANT}{END})*({SYSTEM}?{USER}{ASSISTANT})?")
_ROLES = {SYSTEM: "system", USER: "user", ASSISTANT: "assistant"}
_KINDS = (Kind.TEXT_CLASSIFICATION, Kind.TRANSLATION)


def asked(prompt: str, system: str | None = None) -> str:
    """A prompt as what the user says, up to where the assistant's answer begins.

    system: the system message before it; None for what the template has by itself. Raises DataError for a prompt
    that holds marks of its own.
    """
    if _MARK.search(prompt):
        raise DataError(f"a text must not hold U+FDD0 to U+FDD3, which mark turns of a chat; got {prompt[:60]!r}")
    opening = "" if system is None else SYSTEM + system
    return f"{opening}{USER}{prompt}{ASSISTANT}"


@dataclass(frozen=True)
class Conversation:
    """A text's turns.

    messages: whole turns, each with ``role`` and ``content`` as chat templates take them. answer: what the assistant
    has begun to say after them, perhaps nothing yet; None where its last turn is ended.
    """

    messages: tuple[dict[str, str], ...]
    answer: str | None

    @classmethod
    def of(cls, text: str) -> "Conversation | None":
        """The turns in a text, None if it has no marks. Raises DataError for marks that make no conversation.

        Texts joined after each other each begin with the system message; the conversation has it once.
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


class ChatTask(Task):
    """Makes a chat of a task that stands after it: ``class LexiconChat(ChatTask, Lexicon)`` is all it takes.

    The task's prompt is what the user says. Its answer is what the assistant says, without the white space that sets
    it off from a plain prompt. Backbones without a chat template raise UsageError.
    """

    separator = END
    system: ClassVar[str | None] = None
    """The system message; None for what the model's template has by itself."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        if cls.kind not in _KINDS:
            raise TypeError(f"{cls.__name__} must be a task of {' or '.join(_KINDS)} to be a chat, got {cls.kind}")
        # A class name is embedded as it is answered: where the assistant begins.
        cls.prompts = tuple(asked("") + prompt.lstrip() for prompt in super().prompts)

    def load(self, data: Path | None) -> TaskData:
        """What the plain task loads, as a chat."""
        found: TaskData = super().load(data)  # type: ignore[safe-super]  # of the task that stands after this one
        return TaskData(
            self._said(found.support),
            self._said(found.query),
            tuple(name.lstrip() for name in found.classes),
            f"{found.revision}; a chat, system: {self.system!r}",
        )

    def _said(self, pool: Pool) -> Pool:
        prompts = [asked(prompt, self.system) for prompt in pool.inputs["input"]]
        targets = None if pool.targets is None else [target.lstrip() for target in pool.targets]
        return Pool(Dataset.from_dict({"input": prompts}), pool.labels, targets)
