"""Training corpora: the support pool of a task or text files, packed into windows of tokens."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path

import torch
from torch import Tensor

from bench import registry
from bench.contracts import DataError, Kind, LanguageBackbone, UsageError
from bench.readouts.docstrings import PREFIX, package_texts
from bench.spec.aliases import TASK_ALIASES
from bench.toolkit.files import require_regular, text_hash, user_path

SEPARATOR = "\n\n"
"""Separator between two texts of a window."""
CHARACTERS_AT_ONCE = 2**20
"""Largest number of characters tokenised together; a whole corpus would need many times its size in memory."""


@dataclass(frozen=True)
class Corpus:
    """Texts of a training corpus.

    Attributes:
        name: The name given by the user: task, file or folder.
        texts: The texts.
    """

    name: str
    texts: tuple[str, ...]

    @property
    def revision(self) -> str:
        """Hash of the texts in order."""
        return text_hash(*self.texts)


def read_corpus(name: str, data: Path | None) -> Corpus:
    """Read a corpus by its name.

    Args:
        name: A task of language modelling, of which the support pool is read; a .txt file; a folder, of which all .txt
            files are read; or ``docstrings:PACKAGE,...`` for the documentation of installed packages. Of a task and a
            folder with one name the task is read; write ``./NAME`` for the folder.
        data: Folder of local data sets, for tasks.

    Returns:
        The corpus.

    Raises:
        DataError: If a file or folder is missing, unreadable or without text.
        UsageError: If the task is unknown or of another kind.
    """
    if name.startswith(PREFIX):
        return Corpus(name, package_texts(name.removeprefix(PREFIX)))
    path = user_path(name)
    if name.partition(":")[0] in registry.find("tasks") or not path.exists():
        if path.suffix == ".txt" or len(path.parts) > 1:
            raise DataError(f"--corpus needs a task, a .txt file or a folder; there is no file or folder {name}")
        return Corpus(name, _task_texts(name, data))
    files = sorted(path.rglob("*.txt")) if path.is_dir() else [path]
    if not files:
        raise DataError(f"--corpus needs a folder with .txt files, {name} has none")
    texts = tuple(text for text in map(_text, files) if text)
    if not texts:
        raise DataError(f"--corpus needs text, {name} holds none but white space")
    return Corpus(name, texts)


def read_corpora(names: Sequence[str], data: Path | None) -> Corpus:
    """Read several corpora as one.

    Args:
        names: Names as ``read_corpus`` takes them.
        data: Folder of local data sets, for tasks.

    Returns:
        Their texts, one corpus after another.

    Raises:
        DataError: If one cannot be read.
        UsageError: If a task is unknown or of another kind.
    """
    read = [read_corpus(name, data) for name in names]
    return Corpus(" + ".join(each.name for each in read), tuple(text for each in read for text in each.texts))


def _text(path: Path) -> str:
    try:
        return require_regular(path).read_text(encoding="utf-8").strip()
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} must be text in UTF-8, got an invalid byte at {error.start}; convert the file"
        ) from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None


def _task_texts(name: str, data: Path | None) -> tuple[str, ...]:
    task = registry.make_task(TASK_ALIASES.get(name, (name, "plain"))[0])
    if task.kind is not Kind.LANGUAGE_MODELLING:
        raise UsageError(
            f"--corpus needs a task of kind {Kind.LANGUAGE_MODELLING}, a .txt file or a folder of them; "
            f"{name} is of kind {task.kind}"
        )
    # The query pool, on which perplexity is measured, is not trained on.
    return tuple(task.load(data).support.inputs["input"])


def packed_windows(backbone: LanguageBackbone, texts: Sequence[str], window: int, batch: int) -> Tensor:
    """Tokenise texts, join them and cut them into windows of equal length.

    Args:
        backbone: The language model, for its tokeniser and context length.
        texts: The texts.
        window: Tokens per window.
        batch: Windows per batch, the smallest number of windows that is accepted.

    Returns:
        Token ids ``[window, position]`` on the CPU. Remainders that fill no window are left out.

    Raises:
        UsageError: If a window is longer than the model's context.
        DataError: If the texts fill fewer windows than one batch.
    """
    if window > backbone.context_length:
        raise UsageError(f"--window must be at most the model's {backbone.context_length} tokens, got {window}")
    batches = [
        # The remainder of a part, shorter than a window, is dropped.
        tokens.ids[tokens.mask.bool().all(dim=1)].cpu()
        for part in _parts(texts)
        for tokens in backbone.tokens([part], window)
        if tokens.ids.shape[1] == window
    ]
    windows = torch.cat(batches) if batches else torch.empty(0, window, dtype=torch.long)
    if len(windows) < batch:
        raise DataError(
            f"a batch needs {batch} windows of {window} tokens, and the corpus fills {len(windows)}; "
            "use a smaller --window or --batch, or more text"
        )
    return windows


def _parts(texts: Sequence[str]) -> Iterator[str]:
    """The texts, joined or cut into parts of at most CHARACTERS_AT_ONCE characters."""
    waiting: list[str] = []
    for text in texts:
        for start in range(0, len(text), CHARACTERS_AT_ONCE):
            piece = text[start : start + CHARACTERS_AT_ONCE]
            if waiting and sum(map(len, waiting)) + len(piece) > CHARACTERS_AT_ONCE:
                yield SEPARATOR.join(waiting)
                waiting = []
            waiting.append(piece)
    if waiting:
        yield SEPARATOR.join(waiting)


class Batches:
    """Shuffled batches of windows, one per step.

    The order is a function of the seed and the step alone, so that a resumed training continues where it stopped. Each
    epoch is shuffled anew; the windows left at its end are the beginning of the next epoch's first batch.
    """

    def __init__(self, windows: Tensor, batch: int, steps: int, seed: int, first: int = 0) -> None:
        """Prepare the batches.

        Args:
            windows: ``[window, position]``, token ids.
            batch: Windows per batch.
            steps: Number of steps of the whole training.
            seed: Seed of the order.
            first: Number of the first step to yield, counted from 0.
        """
        self.windows, self.batch, self.steps, self.seed, self.first = windows, batch, steps, seed, first

    def __iter__(self) -> Iterator[Tensor]:
        """Batches ``[batch, position]`` of the steps from ``first`` on."""
        indices = self._indices(self.first * self.batch)
        for _ in range(self.first, self.steps):
            yield self.windows[list(islice(indices, self.batch))]

    def _indices(self, start: int) -> Iterator[int]:
        """Indices of the windows in training order, from the ``start``-th on."""
        first, within = divmod(start, len(self.windows))
        for epoch in count(first):
            order = torch.randperm(len(self.windows), generator=stream("order", self.seed, epoch))
            yield from order[within if epoch == first else 0 :].tolist()


def stream(*name: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """A random generator whose seed is a hash of its name.

    Args:
        *name: Parts of the name.
        device: Device of the generator.

    Returns:
        The generator.
    """
    return torch.Generator(device).manual_seed(int(text_hash(*map(str, name))[:15], 16))
