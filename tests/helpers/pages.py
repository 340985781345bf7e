"""Records for the HTML page, some of them hostile, and the data that a page has for its scripts."""

import base64
import gzip
import json
import re
from html.parser import HTMLParser

from bench.reports.page import page
from bench.reports.page_data import packed_plotly
from bench.reports.rows import rows
from bench.results.row_sample import no_predictions
from bench.spec.budget import Budget
from tests.helpers.records import COSTS, made

HOSTILE = '</script><img src=x onerror="window.hacked=1">&{{7*7}}<b>'


def hostile():
    """A record with markup in every text that a user or a plugin chooses."""
    return made(
        {"task": f"t{HOSTILE}", "backbone": f"b{HOSTILE}", "method": f"m{HOSTILE}", "config": {"c": HOSTILE}},
        status="failed",
        reason=f"r{HOSTILE}",
        value=None,
        episode_scores=[],
        costs=None,
        metric=f"metric{HOSTILE}",
        notes={HOSTILE: [HOSTILE]},
        violations={HOSTILE: 1.0},
    )


def cost(seconds, peak):
    """Costs of a method that reads inputs, by what its adaptation takes."""
    adapt = COSTS.adapt.model_copy(update={"seconds": seconds, "peak_memory_mb": peak})
    encode = COSTS.encode.model_copy(update={"seconds": 0.0, "peak_memory_mb": 0.0})
    return COSTS.model_copy(update={"adapt": adapt, "encode": encode})


def scored(method, value, seconds=1.0, peak=10.0, metric="accuracy", **spec):
    spec = {"task": "t", "method": method, "config": {}} | spec
    return made(spec, value=value, metric=metric, episode_scores=[value - 1, value + 1], costs=cost(seconds, peak))


def held(method, limit, value):
    """A record of a method that kept a limit of seconds."""
    return scored(method, value, limit, 10.0, budget=Budget(adapt_seconds=limit))


def unscored(method, status, reason, **changes):
    spec = {"task": "t", "method": method, "config": {}}
    return made(spec, status=status, reason=reason, value=None, episode_scores=[], costs=None, **changes)


def board():
    """Records of all statuses, several numbers of shots and seeds, two metrics, and a grid of budgets."""
    return [
        scored("cheap", 70.0, 0.1, 5.0),
        scored("fair", 80.0, 1.0, 20.0),
        scored("fair", 82.0, 1.0, 20.0, seed=1),
        scored("good", 90.0, 10.0, 10.0),
        scored("poor", 60.0, 20.0, 30.0),
        scored("free", 50.0, 0.0, 5.0, shots=0),
        scored("cheap", 65.0, shots=1),
        scored("good", 64.0, shots=1),
        scored("good", 95.0, shots="full"),
        *(held("good", limit, value) for limit, value in ((1, 85.0), (3, 88.0))),
        *(held("fair", limit, value) for limit, value in ((1, 79.0), (3, 80.5))),
        unscored("textual", "skipped", "reads texts; t is image_classification"),
        unscored("broken", "failed", "RuntimeError: planted defect"),
        unscored("dear", "over_budget", "adapt_seconds is 9, 2 allowed", limits={"adapt_seconds": 2.0, "steps": 10.0},
                 violations={"adapt_seconds": 9.0}),
        *(scored(method, value, metric="perplexity", task="words") for method, value in (("a", 30.0), ("b", 10.0))),
    ]  # fmt: skip


def many(count):
    """Records of forty methods at five numbers of shots, on as many tasks as that takes."""
    return [
        scored(f"method{number % 40}", 50.0 + number % 37, task=f"task{number // 200}", shots=2 ** (number // 40 % 5))
        for number in range(count)
    ]


def made_page(records, find=no_predictions, **parts):
    return page(rows(records), records, find, **parts)


STAND_IN = """window.Plotly = {
  react: (plot, data, layout) => Object.assign(plot, { data, layout, removeAllListeners() {}, on() {} }),
};"""
"""Keeps what Plotly gets, and draws nothing."""


def without_plotly(text):
    """A page with a stand-in for Plotly, which takes seconds to start and to draw each change."""
    assert packed_plotly() in text
    return text.replace(packed_plotly(), base64.b64encode(gzip.compress(STAND_IN.encode())).decode())


class Elements(HTMLParser):
    """All elements of a page with their attributes, and its text."""

    def __init__(self, text):
        super().__init__()
        self.found, self.text = [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def packed(text, name):
    """The content of a compressed part of a page."""
    (content,) = re.findall(rf'<script type="application/octet-stream" id="{name}">(.*?)</script>', text)
    return gzip.decompress(base64.b64decode(content)).decode()


def data(text):
    """What the page's scripts read: the rows, and all parts: records, company, confusion matrices and pairs."""
    found = json.loads(packed(text, "data")) | {"records": {}, "company": {}, "confusions": {}, "pairs": {}}
    for name in re.findall(r'id="(part-\d+)"', text):
        for key, values in json.loads(packed(text, name)).items():
            found[key] |= values
    return found
