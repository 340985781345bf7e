"""Commands import no library that they do not need: help none at all, and those that read a store few."""

import json
import subprocess
import sys

import pytest

from tests.helpers.stores import fill

OF_PAGES = ("pyarrow", "jinja2")
HEAVY = (
    "torch", "transformers", "lightning", "datasets", "pandas", "statsmodels", "scipy.stats", "sklearn", "wandb",
    "psutil", "tabulate", "plotly", *OF_PAGES,
)  # fmt: skip
OF_HELP = ("yaml", "rich", "numpy", "xxhash", "bench.registry", *HEAVY)
"""What help imports nothing of, so that it is there in 0.3 s; that of a command needs Typer's own pydantic."""
OF_CHECK = ("rich", "scipy", "xml.etree.ElementTree", *HEAVY)
"""What a check imports nothing of where runs, scores and costs are as they were."""
READ = """
import contextlib, io, json, sys
from bench.cli.app import main
for heavy, words in json.load(sys.stdin):
    sys.argv, code = ["bench", *words], 0
    with contextlib.redirect_stdout(io.StringIO()) as answer, contextlib.redirect_stderr(answer):
        try:
            main()
        except SystemExit as ended:
            code = ended.code
    print(json.dumps([code, len(answer.getvalue()), sorted(set(heavy) & set(sys.modules))]))
"""
WRONG = [
    ["run", "--task", "digitz", "--method", "knn"],
    ["run", "--task", "digits", "--method", "knn,kn"],
    ["run", "--task", "digits", "--method", "knn", "--backbone", "efficientnet"],
    ["run", "--task", "digits", "--method", "knn", "--set", "knn.kk=1"],
    ["run", "--task", "digits", "--method", "knn", "--budget", "second=1"],
    ["run", "quickstrt", "--limit", "20"],
    ["sweep", "--task", "digits", "--method", "kn"],
    ["claims", "faaast"],
    ["readout", "train", "--backbone", "smollm", "--corpus", "wikitext103"],
    ["show", "fasst"],
]
"""Commands with a wrong name, which is found before anything heavy is imported."""


ROOT = [["--help"], ["-h"], ["--version"]]
HELP = [["run", "--help"], ["sweep", "-h"], ["new", "method", "--help"]]


def needless(words):
    """Libraries that a command has no need of."""
    if "html" in words:
        return sorted(set(HEAVY) - set(OF_PAGES))
    if words[0] == "check":
        return OF_CHECK
    return ("pydantic", *OF_HELP) if words in ROOT else OF_HELP if words in HELP else HEAVY


@pytest.mark.slow
def test_commands_import_nothing_heavy(tmp_path):
    store = str(fill(tmp_path / "store").root)
    commands = [
        *ROOT,  # first, before another command has imported anything
        *HELP,
        ["check", "--baseline", store, "--store", store],  # before others import rich
        *WRONG,
        ["claims"],
        ["list", "methods"],
        ["list", "tasks", "--json"],
        ["list", "claims", "--schema"],
        ["records", "schema"],
        ["leaderboard", "--store", store],
        ["leaderboard", "--store", store, "--format", "json"],
        ["compare", "closed", "probe", "--store", store],
        ["leaderboard", "--store", store, "--format", "html"],
    ]
    answer = subprocess.run(
        [sys.executable, "-c", READ], input=json.dumps([(needless(words), words) for words in commands]),
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    for words, line in zip(commands, answer.stdout.splitlines(), strict=True):
        code, length, heavy = json.loads(line)
        assert code == (2 if words in WRONG else 0), words
        assert length > (40 if words in WRONG else 10 if words == ["--version"] else 100), words
        assert heavy == [], words
