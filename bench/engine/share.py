"""Share of a run that a worker process has done, for the process that shows it."""

import struct
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import Callback

EVERY = 0.2
"""Least number of seconds between two writes."""
_NUMBER = struct.Struct("d")


@dataclass(frozen=True)
class ShareFile:
    """A file with one number from 0 to 1.

    Attributes:
        path: Its path.
    """

    path: Path

    def write(self, share: float) -> None:
        """Write the number; a disk that is full is of no consequence.

        Args:
            share: The number.
        """
        with suppress(OSError):
            self.path.write_bytes(_NUMBER.pack(share))

    def read(self) -> float | None:
        """The number; None where none was written yet, or one is being written."""
        with suppress(OSError, struct.error):
            (share,) = _NUMBER.unpack(self.path.read_bytes())
            return float(share)
        return None


@contextmanager
def share_file() -> Iterator[ShareFile | None]:
    """A file in a temporary folder, which is removed at the end.

    Yields:
        The file; None where no folder can be made.
    """
    try:
        folder = tempfile.TemporaryDirectory(prefix="bench-share-", ignore_cleanup_errors=True)
    except OSError:
        yield None
        return
    with folder as name:
        yield ShareFile(Path(name) / "share")


@dataclass
class ShareMeter:
    """Writes the share that groups of episodes and steps of optimizers make.

    Attributes:
        file: The file; None to write nothing.
        n_groups: Number of groups.
    """

    file: ShareFile | None
    n_groups: int
    _group: int = field(default=0, init=False)
    _next: float = field(default=0.0, init=False)

    def group(self, number: int) -> None:
        """Note that a group begins.

        Args:
            number: Its number.
        """
        self._group = number
        self.within(0.0)

    def within(self, share: float) -> None:
        """Note a share of the present group.

        Args:
            share: From 0 to 1.
        """
        now = time.monotonic()
        if self.file is not None and now >= self._next:
            self.file.write((self._group + share) / self.n_groups)
            self._next = now + EVERY

    def callbacks(self) -> tuple[Callback, ...]:
        """Callbacks of Lightning that note optimizer steps; none where nothing is written."""
        return () if self.file is None else (_Steps(self),)


class _Steps(Callback):
    """Notes the share of a trainer's steps."""

    def __init__(self, meter: ShareMeter) -> None:
        self.meter = meter

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Note the step; without a number of steps their share is unknown."""
        if trainer.max_steps > 0:
            self.meter.within(trainer.global_step / trainer.max_steps)
