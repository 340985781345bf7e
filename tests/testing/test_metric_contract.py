"""The contract suite of metrics on every metric."""

import pytest

from bench import registry
from bench.contracts import Metric
from bench.testing.metric_contract import MetricContract


class TestEveryMetric(MetricContract):
    @pytest.fixture(params=registry.find("metrics"))
    def metric(self, request: pytest.FixtureRequest) -> Metric:
        return registry.make_metric(request.param)
