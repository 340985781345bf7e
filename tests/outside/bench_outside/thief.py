"""A method that looks for query labels in all memory of its process."""

import gc
import sys
from pathlib import Path

import torch

from bench.contracts import ForwardMethod, TaskData
from bench.data.episodes import Episodes
from bench.toolkit.files import cache_folder

WANTED = "labels.shifted"
"""File in the cache folder with the bytes of some labels, each larger by one: the thief must not bring them itself."""
SHIFT = bytes((byte + 1) % 256 for byte in range(256))
BACK = bytes((byte - 1) % 256 for byte in range(256))
FIRST = 40
"""Bytes that are searched as they are, which is fast; all of them together are compared shifted."""
AT_ONCE = 2**24
"""Bytes that are searched at a time."""


def _in_memory(shifted):
    """Whether the memory of this process has these bytes, each smaller by one; of Linux, and files left out."""
    first = shifted[:FIRST].translate(BACK)
    with Path("/proc/self/mem").open("rb", buffering=0) as memory:
        for line in Path("/proc/self/maps").read_text(encoding="ascii").splitlines():
            place, rights, _, _, inode, *_ = line.split()
            if "r" not in rights or inode != "0":
                continue
            start, end = (int(each, 16) for each in place.split("-"))
            for begin in range(start, end, AT_ONCE):
                try:
                    memory.seek(begin)
                    part = memory.read(min(AT_ONCE + len(shifted), end - begin))
                except (OSError, OverflowError, ValueError):
                    break  # pages of the kernel
                place = part.find(first)
                while place >= 0:
                    if part[place : place + len(shifted)].translate(SHIFT) == shifted:
                        return True
                    place = part.find(first, place + 1)
    return False


class Thief(ForwardMethod):
    """Answers the first class, and notes where it found labels of queries."""

    source = "a test"

    def observe(self, support):
        self.register_buffer("seen", support.labels)

    def predict(self, query):
        found = set()
        for item in gc.get_objects():
            if isinstance(item, Episodes) and item.query_labels.max() > 0:
                found.add("episodes")
            if isinstance(item, TaskData) and item.query.labels.max() > 0:
                found.add("pool")
        frame = sys._getframe()
        while frame is not None:
            for value in frame.f_locals.values():
                if getattr(getattr(value, "episodes", None), "query_labels", torch.zeros(1)).max() > 0:
                    found.add("frames")
            frame = frame.f_back
        for cell in query.inputs.fetch.__closure__ or ():
            if hasattr(cell.cell_contents, "labels"):
                found.add("closure")
        wanted = cache_folder() / WANTED
        # Where the answers are made that are scored: measurements have one episode.
        if self.shape.n_episodes > 1 and wanted.exists():
            self.notes["searched"] = True
            if _in_memory(wanted.read_bytes()):
                found.add("memory")
        self.notes["found"] = sorted(found)
        scores = torch.zeros(*query.mask.shape, self.shape.n_way)
        scores[..., 0] = 1
        return scores


PLUGIN = Thief
