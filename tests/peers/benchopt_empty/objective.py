"""A benchmark that does nothing, for the overhead of benchopt."""

from benchopt import BaseObjective


class Objective(BaseObjective):
    name = "Nothing"
    min_benchopt_version = "1.9"
    sampling_strategy = "run_once"

    def set_data(self, value):
        self.value = value

    def evaluate_result(self, result):
        return {"value": result}

    def get_one_result(self):
        return {"result": 0.0}

    def get_objective(self):
        return {"value": self.value}
