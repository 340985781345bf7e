"""One run by names, and its task's part of file names."""

import hashlib
import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from bench.contracts.kinds import PromptStyle, Template
from bench.spec.budget import Budget, Match
from bench.spec.tuning import Tuning

Shots = int | Literal["full"]


class RunSpec(BaseModel):
    """One run: task x backbone x method x config x shots x seed, and the draw of its episodes.

    Attributes:
        task: Name of the task.
        prompt: Style of the task's prompts.
        template: Form of the prompts: the number of one of the task's templates, 0 for its own form, or a text.
        backbone: Name of the backbone.
        method: Name of the method.
        config: Fields that differ from the method's defaults.
        shots: Support items per class, or "full".
        seed: Seed of the episodes.
        episodes: Number of episodes.
        queries: Query items per class; None for all.
        ways: Classes per episode; None for all.
        limit: Most queries of a quick look; None for a whole run.
        precision: Precision of Lightning's trainer.
        budget: Limits of the costs.
        match: A method with costs that are further limits, if any.
        tuning: The search that found ``config``, if any.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str
    prompt: PromptStyle = "plain"
    template: Template = 0
    backbone: str
    method: str
    config: dict[str, Any] = {}
    shots: Shots
    seed: int
    episodes: int
    queries: int | None
    ways: int | None
    limit: int | None = None
    precision: str = "32-true"
    budget: Budget = Budget()
    match: Match | None = None
    tuning: Tuning | None = None

    def form(self) -> tuple[str, PromptStyle, Template]:
        """Task, prompt style and template: what the task is made by, and its data are loaded by."""
        return self.task, self.prompt, self.template

    def shared(self) -> tuple[str, PromptStyle, str, str, str]:
        """Key of a group of runs: those with one key are encoded together. Keys sort, so that the template is text."""
        return self.task, self.prompt, str(self.template), self.backbone, self.precision

    def reference(self) -> "RunSpec | None":
        """The run with the costs that are this one's budget; None without a match."""
        if self.match is None:
            return None
        changes = {
            "method": self.match.method,
            "config": self.match.config,
            "tuning": self.match.tuning,
            "budget": Budget(),
            "match": None,
        }
        return self.model_copy(update=changes)


def task_slug(task: str, prompt: PromptStyle, template: Template = 0) -> str:
    """A task, its prompt style and template as part of the name of a file or of a tracker's run.

    Args:
        task: ``name`` or ``name:argument``.
        prompt: The prompt style; left out where it is plain.
        template: The template; left out where it is 0.

    Returns:
        For example ``iwslt2017-de-en-chat``: letters, digits, ``_``, ``.`` and ``-`` alone, since a colon is not
        allowed in file names everywhere.
    """
    marks: list[str] = [] if prompt == "plain" else [prompt]
    if template != 0:
        digest = hashlib.sha256(str(template).encode()).hexdigest()[:8]
        marks.append(f"template{template if isinstance(template, int) else f'-{digest}'}")
    return re.sub(r"[^\w.-]", "-", "-".join([task, *marks]))
