"""A solver that does nothing."""

from benchopt import BaseSolver


class Solver(BaseSolver):
    name = "Empty"

    def set_objective(self, value):
        self.value = value

    def run(self, _):
        pass

    def get_result(self):
        return {"result": self.value}
