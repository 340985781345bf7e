"""Commands that read a store import no library that they do not need."""

import json
import subprocess
import sys

from tests.helpers.stores import fill

HEAVY = (
    "torch", "transformers", "lightning", "datasets", "pandas", "statsmodels", "scipy.stats", "sklearn", "wandb",
    "pyarrow", "plotly", "jinja2",
)  # fmt: skip
READ = """
import contextlib, io, json, sys
from bench.cli.app import app
heavy, commands = json.load(sys.stdin)
for words in commands:
    with contextlib.redirect_stdout(io.StringIO()) as answer:
        code = app(words, standalone_mode=False) or 0
    print(json.dumps([code, len(answer.getvalue()), sorted(set(heavy) & set(sys.modules))]))
"""


def test_commands_on_a_store_import_nothing_heavy(tmp_path):
    store = str(fill(tmp_path / "store").root)
    commands = [
        ["list", "methods"],
        ["records", "schema"],
        ["leaderboard", "--store", store],
        ["leaderboard", "--store", store, "--format", "json"],
        ["compare", "closed", "probe", "--store", store],
        ["check", "--baseline", store, "--store", store],
    ]
    answer = subprocess.run(
        [sys.executable, "-c", READ], input=json.dumps([HEAVY, commands]), capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    for words, line in zip(commands, answer.stdout.splitlines(), strict=True):
        code, length, heavy = json.loads(line)
        assert code == 0, words
        assert length > 100, words
        assert heavy == [], words
