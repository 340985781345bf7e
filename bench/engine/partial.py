"""File of the predictions that an unfinished run has made, from which the next process goes on."""

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from bench.engine.group_result import GroupAnswers
from bench.toolkit.code_hash import code_hash
from bench.toolkit.durable import make_folder, write_atomic
from bench.toolkit.files import text_hash
from bench.version import __version__

EVERY = 10.0
"""Least number of seconds between two writes."""
SHARE = 20.0
"""Least time between two writes, in times of the last one, so that writing takes a twentieth of a run at most."""
HARNESS = (
    "bench.data.batches", "bench.engine.adapt", "bench.engine.answer", "bench.engine.group_result",
    "bench.engine.lightning_module", "bench.engine.partial", "bench.engine.stage_trainers", "bench.engine.trainer",
)  # fmt: skip
"""Modules of the harness that make predictions. An identity has one number for all of it, which need not have been
raised while a change is under way."""


def partial_key(*facts: Any) -> str:
    """Key of everything that the predictions of a run depend on.

    Args:
        *facts: Identity, steps and limits of the run, as texts or numbers.

    Returns:
        64 hexadecimal digits.
    """
    return text_hash(__version__, *map(code_hash, HARNESS), *map(str, facts), str(torch.get_num_threads()))


@dataclass(frozen=True)
class PartialFile:
    """File of predictions.

    Attributes:
        path: Its path.
        key: Key of what they depend on; a file with another one is not used.
    """

    path: Path
    key: str

    def read(self) -> list[GroupAnswers]:
        """The predictions of the first groups of a run, and torch's random numbers as they were after these.

        Returns:
            The predictions, empty if there is no such file, if it is damaged, or if it has another key.
        """
        try:
            digest, _, rest = self.path.read_bytes().partition(b"\n")
            if hashlib.sha256(rest).hexdigest().encode() != digest:
                return []
            head, _, content = rest.partition(b"\n")
            facts, tensors = json.loads(head), load(content)
            if facts["key"] != self.key:
                return []
            found = [
                GroupAnswers(scores=tensors[f"scores {number}"], **group)
                for number, group in enumerate(facts["groups"])
            ]
        except (OSError, ValueError, KeyError, TypeError, SafetensorError):
            return []
        _restore(tensors)
        return found

    def write(self, answers: Sequence[GroupAnswers]) -> None:
        """Write the predictions of the first groups of a run, completely or not at all.

        Args:
            answers: The predictions.

        Raises:
            OSError: If the file cannot be written.
        """
        groups = [{"texts": each.texts, "losses": each.losses, "notes": each.notes} for each in answers]
        tensors = {
            f"scores {number}": each.scores.clone(memory_format=torch.contiguous_format)
            for number, each in enumerate(answers)
        }
        head = json.dumps({"key": self.key, "groups": groups}).encode()
        rest = head + b"\n" + save({**tensors, **_random_state()})
        make_folder(self.path.parent)
        write_atomic(self.path, hashlib.sha256(rest).hexdigest().encode() + b"\n" + rest)


def _random_state() -> dict[str, Tensor]:
    """State of torch's generators, for methods that draw from them."""
    state = {"torch": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def _restore(state: dict[str, Tensor]) -> None:
    torch.set_rng_state(state["torch"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])


@dataclass
class Keeper:
    """Writes a run's predictions to its file from time to time.

    Attributes:
        file: The file; None to write nothing.
        check: Raises an error if the predictions must not be kept.
        problem: Why they cannot be written, empty if they can.
    """

    file: PartialFile | None
    check: Callable[[], None]
    problem: str = ""
    _next: float = field(default_factory=lambda: time.monotonic() + EVERY, init=False)

    def keep(self, answers: Sequence[GroupAnswers]) -> None:
        """Write the predictions if it is time.

        Args:
            answers: All predictions so far.
        """
        began = time.monotonic()
        if self.file is None or self.problem or began < self._next:
            return
        self.check()
        try:
            self.file.write(answers)
        except OSError as error:  # the run itself needs no such file
            self.problem = f"predictions of an unfinished run cannot be kept: {error.strerror or error}"
            with suppress(OSError):
                self.file.path.unlink(missing_ok=True)
        ended = time.monotonic()
        self._next = ended + max(EVERY, SHARE * (ended - began))
