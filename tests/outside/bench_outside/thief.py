"""A method that looks for query labels in all memory of its process."""

import gc
import sys

import torch

from bench.contracts import ForwardMethod, TaskData
from bench.data.episodes import Episodes


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
        self.notes["found"] = sorted(found)
        scores = torch.zeros(*query.mask.shape, self.shape.n_way)
        scores[..., 0] = 1
        return scores


PLUGIN = Thief
