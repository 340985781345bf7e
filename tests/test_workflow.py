"""The workflow's step that keeps the history on a branch of its own, run on repositories of the test's."""

import os
import subprocess

import pytest
import yaml

from tests.helpers.places import ROOT

BENCH = """#!/bin/sh
# Stands in for the program; another job pushes its state once, between this one's fetch and its push.
if [ "$2" = show ]; then echo page > history/index.html; exit; fi
echo "$GITHUB_SHA" >> history/history.parquet
if [ -n "$FASTER" ] && [ ! -e "$FASTER" ]; then
  git clone -q -b bench-history "$ORIGIN" "$FASTER"
  echo faster >> "$FASTER/history.parquet"
  git -C "$FASTER" -c user.name=o -c user.email=o@example.com commit -qam other
  git -C "$FASTER" push -q
fi
"""


def git(*words, folder):
    answer = subprocess.run(["git", "-C", str(folder), *map(str, words)], capture_output=True, text=True, check=True)
    return answer.stdout


@pytest.fixture
def step(tmp_path):
    """Runs the step for an event and a commit; answers the lines of the branch's file."""
    (job,) = [job for name, job in yaml.safe_load(WORKFLOW.read_text())["jobs"].items() if name == "history"]
    (script,) = [step["run"] for step in job["steps"] if step.get("name", "").startswith("Add this state")]
    origin, repository = tmp_path / "origin.git", tmp_path / "repository"
    git("init", "-q", "--bare", origin, folder=tmp_path)
    git("init", "-q", "-b", "main", repository, folder=tmp_path)
    git("remote", "add", "origin", origin, folder=repository)
    program = repository / ".venv/bin/bench"
    program.parent.mkdir(parents=True)
    program.write_text(BENCH)
    program.chmod(0o755)

    def run(event, commit, **environment):
        own = {"EVENT": event, "GITHUB_SHA": commit, "ORIGIN": str(origin), **environment}
        subprocess.run(
            ["bash", "-e", "-c", script], cwd=repository, env={**os.environ, **own}, capture_output=True, check=True
        )
        assert (repository / "history/history.parquet").read_text().splitlines()[-1] == commit
        return git("show", "bench-history:history.parquet", folder=origin).split()

    return run


WORKFLOW = ROOT / ".github/workflows/bench.yml"


def test_states_of_the_main_branch_are_kept_and_none_is_lost_to_another_job(step, tmp_path):
    assert step("push", "a") == ["a"]
    assert step("push", "b", FASTER=str(tmp_path / "other")) == ["a", "faster", "b"]
    assert step("pull_request", "c") == ["a", "faster", "b"]
    assert git("ls-tree", "--name-only", "bench-history", folder=tmp_path / "origin.git").split() == [
        "history.parquet", "index.html",
    ]  # fmt: skip
