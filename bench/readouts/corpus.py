"""Text to train on: a task's support pool or the user's own files, packed into windows of tokens."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path

import torch
from torch import Tensor

from bench import registry
from bench.contracts import DataError, Kind, LanguageBackbone, UsageError
from bench.toolkit.files import text_hash

JOINT = "\n\n"
"""What stands between two texts of a window."""
CHARACTERS_AT_ONCE = 2**20
"""Characters that are tokenised together: a whole corpus at once would need many times its size."""


@dataclass(frozen=True)
class Corpus:
    """Texts under the name that the user gave."""

    name: str
    texts: tuple[str, ...]

    @property
    def revision(self) -> str:
        """Hash of the texts in order."""
        return text_hash(*self.texts)


def read_corpus(name: str, data: Path | None) -> Corpus:
    """The support pool of a task of language modelling, a .txt file, or all .txt files of a folder.

    A task comes before a folder of its name, which ``./NAME`` means. data: folder of local data sets, for
    tasks. Raises DataError or UsageError if there is no text to be had.
    """
    path = Path(name)
    if name in registry.find("tasks") or not path.exists():
        if path.suffix == ".txt" or len(path.parts) > 1:
            raise DataError(f"--corpus {name}: no such file or folder")
        return Corpus(name, _task_texts(name, data))
    files = sorted(path.rglob("*.txt")) if path.is_dir() else [path]
    if not files:
        raise DataError(f"--corpus {name} is a folder without a .txt file")
    texts = tuple(text for text in map(_text, files) if text)
    if not texts:
        raise DataError(f"--corpus {name} holds no text")
    return Corpus(name, texts)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError as error:
        raise DataError(f"{path} must be text in UTF-8, and is not at byte {error.start}") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None


def _task_texts(name: str, data: Path | None) -> tuple[str, ...]:
    task = registry.task_class(name)
    if task.kind is not Kind.LANGUAGE_MODELLING:
        raise UsageError(
            f"--corpus needs a task of {Kind.LANGUAGE_MODELLING}, a .txt file or a folder of them; "
            f"{name} is {task.kind}"
        )
    # The support pool alone: what perplexity is measured on stays unseen.
    return tuple(task().load(data).support.inputs["input"])


def packed_windows(backbone: LanguageBackbone, texts: Sequence[str], window: int, batch: int) -> Tensor:
    """All tokens of the texts, joined, in windows ``[window, position]`` of equal length, on the CPU.

    Raises UsageError for windows that the model cannot read, DataError for fewer of them than make a batch.
    """
    if window > backbone.context_length:
        raise UsageError(f"--window must be at most the model's {backbone.context_length} tokens, got {window}")
    batches = [
        # What is left at the end of a part fills no window.
        tokens.ids[tokens.mask.bool().all(dim=1)].cpu()
        for part in _parts(texts)
        for tokens in backbone.tokens([part], window)
        if tokens.ids.shape[1] == window
    ]
    found = torch.cat(batches) if batches else torch.empty(0, window, dtype=torch.long)
    if len(found) < batch:
        raise DataError(
            f"a batch needs {batch} windows of {window} tokens, and the corpus fills {len(found)}; "
            "use a smaller --window or --batch, or more text"
        )
    return found


def _parts(texts: Sequence[str]) -> Iterator[str]:
    """The texts, joined or cut to parts that are tokenised one by one."""
    waiting: list[str] = []
    for text in texts:
        for start in range(0, len(text), CHARACTERS_AT_ONCE):
            piece = text[start : start + CHARACTERS_AT_ONCE]
            if waiting and sum(map(len, waiting)) + len(piece) > CHARACTERS_AT_ONCE:
                yield JOINT.join(waiting)
                waiting = []
            waiting.append(piece)
    if waiting:
        yield JOINT.join(waiting)


class Batches:
    """Windows in an order of their own, as a function of the step: a resumed run goes on where it was.

    Iterating gives the batches ``[batch, position]`` of the steps from ``first`` on. Each epoch is shuffled by the
    seed and its number; the windows left at its end begin the next one's first batch.
    """

    def __init__(self, windows: Tensor, batch: int, steps: int, seed: int, first: int = 0) -> None:
        self.windows, self.batch, self.steps, self.seed, self.first = windows, batch, steps, seed, first

    def __iter__(self) -> Iterator[Tensor]:
        places = self._places(self.first * self.batch)
        for _ in range(self.first, self.steps):
            yield self.windows[list(islice(places, self.batch))]

    def _places(self, start: int) -> Iterator[int]:
        """Where the windows stand that are read from the ``start``-th on."""
        first, within = divmod(start, len(self.windows))
        for epoch in count(first):
            order = torch.randperm(len(self.windows), generator=stream("order", self.seed, epoch))
            yield from order[within if epoch == first else 0 :].tolist()


def stream(*name: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """A random stream of its own for every name."""
    return torch.Generator(device).manual_seed(int(text_hash(*map(str, name))[:15], 16))
