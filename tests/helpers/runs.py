"""A grid of small runs on the outside task, and a reporter that remembers them."""

from bench.runs.reporter import Reporter
from bench.spec.expand import expand
from bench.spec.suite import Block

METHODS = ["zero_shot", "faast", "softmax_memory", "knn", "linear_probe"]


class Notebook(Reporter):
    """A reporter that remembers."""

    def __init__(self):
        self.encoded, self.ran, self.problems = 0, [], []

    def plan(self, total, left=None):
        self.total = total

    def encoding(self, what, total):
        def advance(number):
            self.encoded += number

        return advance

    def running(self, spec):
        self.ran.append((spec.method, spec.shots, spec.seed))

    def problem(self, message):
        self.problems.append(message)


def grid(**changes):
    # Enough steps to learn, few enough for a test.
    steps = {"linear_probe": {"steps": 20}}
    methods = changes.get("methods", METHODS)
    block = {
        "set": {name: values for name, values in steps.items() if name in methods},
        "task": "stripes",
        "backbone": "pixels",
        "methods": METHODS,
        "shots": [1, 5],
        "seeds": [0, 1],
    }
    return expand(Block.model_validate(block | changes))
