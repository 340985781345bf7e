"""Workflows: their commands, and the steps that keep the history on a branch of its own and write the site."""

import os
import re
import subprocess

import pytest
import yaml

from tests.helpers.docs import parsed
from tests.helpers.places import ROOT

WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
COMMAND = re.compile(r"^ *(?:\S*/python -m |\S*/bin/)?(bench .+)$", re.MULTILINE)
"""A command of the program in a script."""

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


SITE = """#!/bin/sh
# Stands in for the program.
mkdir -p public && echo "$@" > public/index.html && ls public/history.html > public/linked 2> /dev/null || true
"""


def script_of(workflow, job, name):
    """The script of a step, by the beginning of its name."""
    steps = yaml.safe_load((ROOT / ".github/workflows" / workflow).read_text())["jobs"][job]["steps"]
    (script,) = [step["run"] for step in steps if step.get("name", "").startswith(name)]
    return script


def scripts(workflow):
    """The scripts of all steps of a workflow, lines that go on joined."""
    jobs = yaml.safe_load(workflow.read_text(encoding="utf-8"))["jobs"]
    found = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    return [script.replace("\\\n", " ") for script in found]


def test_commands_of_workflows_are_such_that_the_program_takes_and_scripts_are_shell():
    found = [script for workflow in WORKFLOWS for script in scripts(workflow)]
    lines = [line for script in found for line in COMMAND.findall(script)]
    assert {line.split()[1] for line in lines} >= {"run", "check", "history", "leaderboard", "list", "weights"}
    for line in lines:
        parsed(line)
    for script in found:
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def program(repository, text):
    """Puts a stand-in for the program in a repository."""
    place = repository / ".venv/bin/bench"
    place.parent.mkdir(parents=True)
    place.write_text(text)
    place.chmod(0o755)


@pytest.fixture
def step(tmp_path):
    """Runs the step for an event and a commit; answers the lines of the branch's file."""
    script = script_of("bench.yml", "history", "Add this state")
    origin, repository = tmp_path / "origin.git", tmp_path / "repository"
    git("init", "-q", "--bare", origin, folder=tmp_path)
    git("init", "-q", "-b", "main", repository, folder=tmp_path)
    git("remote", "add", "origin", origin, folder=repository)
    program(repository, BENCH)

    def run(event, commit, **environment):
        own = {"EVENT": event, "GITHUB_SHA": commit, "ORIGIN": str(origin), **environment}
        subprocess.run(
            ["bash", "-e", "-c", script], cwd=repository, env={**os.environ, **own}, capture_output=True, check=True
        )
        assert (repository / "history/history.parquet").read_text().splitlines()[-1] == commit
        return git("show", "bench-history:history.parquet", folder=origin).split()

    return run


def test_states_of_the_main_branch_are_kept_and_none_is_lost_to_another_job(step, tmp_path):
    assert step("push", "a") == ["a"]
    assert step("push", "b", FASTER=str(tmp_path / "other")) == ["a", "faster", "b"]
    assert step("pull_request", "c") == ["a", "faster", "b"]
    assert git("ls-tree", "--name-only", "bench-history", folder=tmp_path / "origin.git").split() == [
        "history.parquet", "index.html",
    ]  # fmt: skip


@pytest.mark.parametrize("history", [True, False])
def test_the_site_has_the_page_of_the_history_where_there_is_one(tmp_path, history):
    origin, repository = tmp_path / "origin", tmp_path / "repository"
    git("init", "-q", "-b", "bench-history" if history else "main", origin, folder=tmp_path)
    (origin / "index.html").write_text("over time")
    git("add", "index.html", folder=origin)
    git("-c", "user.name=o", "-c", "user.email=o@example.com", "commit", "-qm", "state", folder=origin)
    git("init", "-q", repository, folder=tmp_path)
    git("remote", "add", "origin", origin, folder=repository)
    program(repository, SITE)
    script, address = script_of("site.yml", "publish", "Write the site"), "https://example.org"
    subprocess.run(["bash", "-e", "-c", script], cwd=repository, env={**os.environ, "ADDRESS": address}, check=True)
    assert (repository / "public/index.html").read_text() == (
        f"leaderboard --store runs --site public --site-address {address}\n"
    )
    # The program links to the page if it is there when the site is written.
    assert bool((repository / "public/linked").read_text()) == history
    page = repository / "public/history.html"
    assert (page.read_text() if page.exists() else None) == ("over time" if history else None)
