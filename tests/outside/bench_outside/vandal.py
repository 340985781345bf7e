"""A method that changes the frozen backbone."""

import torch

from bench.contracts import ForwardMethod


class Vandal(ForwardMethod):
    """Writes through ``data``, which no version counter of torch sees."""

    source = "a test"

    def observe(self, support):
        self.register_buffer("seen", support.labels)
        for parameter in self.backbone.parameters():
            parameter.data.add_(1.0)

    def predict(self, query):
        return torch.zeros(*query.mask.shape, self.shape.n_way)


PLUGIN = Vandal
