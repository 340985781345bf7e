"""Every command in the documentation is run, page by page as a reader would, on small stand-ins.

Tasks keep their names, kinds and prompts and have a handful of made-up items; backbones are tiny and have random
weights. What a command says otherwise is done: its methods, options, budgets and files. The suites of results pages are
planned alone (``--dry-run``): README's is run, and so are the commands that read what they leave.
"""

import json
import os
import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from bench import registry
from bench.engine.stage_trainers import fit
from bench.runs.runner import same_process
from bench.spec.expand import expand
from sweeps.tuned import TuneAll
from tests.helpers.docs import PAGES, ROOT, commands, split
from tests.helpers.packages import forget, install
from tests.helpers.preloaded import run_python
from tests.helpers.stand_ins import small_tasks, stand_in

AT_MOST = {"adapt_seconds": 0.2, "trainable_params": 4000}
"""Limits for tiny models."""
SHOTS, STEPS = 5, 10
"""Most shots, and steps of a method that trains."""
INSTALLING = {"docs/add-a-backbone.md", "docs/add-a-method.md", "docs/add-a-metric.md", "docs/tutorial.md"}
"""Pages on which a package is written and installed."""
COMPARED = {"faast", "linear_probe"}
"""Methods that other commands compare."""
ELSEWHERE = {
    "bench run sequence_small": "two dozen runs in stages, each of several answers: tests/runs/test_sequences.py",
    'bench leaderboard --task "digits_split:0-4 then digits_split:5-9"': "likewise",
    "bench claims faast": "takes minutes: tests/cli/test_claims.py",
    "bench claims my_claim.yaml --fail-on refuted --junit claims.xml": "likewise",
    "bench doctor": "measures the machine, which is busy with tests: tests/costs/test_doctor.py",
    "bench test soft_prototype": "tests in a process of its own: tests/cli/test_new.py",
    "bench new method cosine_prototype": "writes into the checkout: tests/cli/test_new.py",
    "bench test cosine_prototype": "likewise",
    "bench new task my_words": "likewise",
    "bench test my_words": "likewise",
    "bench new metric brier_score": "likewise",
    "bench new backbone thumbnails": "likewise",
    "bench readout import gshbao/faast-gpt2-xl": "needs the hub: tests/readouts/test_command.py",
    "bench sweep --task digits --method faast --trials 200 --storage postgresql://USER@HOST/DATABASE": "needs a server: "  # noqa: E501
    "tests/sweeps/test_shared.py",
    "bench run --task digits --method faast,knn --shots 1 --seeds 0,1 --episodes 2 --jobs 2": "runs in processes that "
    "know nothing of smaller data: tests/runs/test_executors.py",
    "bench run --task needle:512 --method in_place_ttt --shots 1 --set in_place_ttt.scope=query --set "
    "in_place_ttt.attention=chunk --set in_place_ttt.chunk=128": "40,000 tokens: tests/methods/test_in_place_ttt.py",
    "bench run needle_small": "likewise, 12 times",
    "bench run sequence_inside": "as sequence_small",
    "bench run quickstart --limit 20": "fewer of the runs of quickstart: tests/runs/test_quick_look.py",
    "bench open": "starts a browser: tests/cli/test_watch_and_open.py",
    "bench watch": "goes on until it is ended: tests/cli/test_watch_and_open.py",
    "bench run quickstart --executor ray": "starts a cluster: tests/runs/test_ray.py",
    "bench run quickstart --executor ray --address auto --gpus-per-run 1": "likewise",
}
ON_PAGE = {
    "bench run iso_time": "docs/budgets.md",
    "bench run --task digits --method knn,linear_probe --shots 5 --match faast:adapt_seconds,state_mb": "README.md",
    "bench run --task lexicon --prompt chat --method zero_shot --method in_context --shots 5": "docs/add-a-task.md",
    "bench sweep --task digits --method faast --shots 5 --trials 50": "docs/sweeps.md",
    "bench leaderboard --format html --out board.html": "docs/page.md",
}
"""Pages on which commands are tried that several pages have."""
SHOWN = {"bench leaderboard --task my_words": "score: Brier score (lower is better)"}
"""What the output of a command has in it."""
FEWER = (
    (r"--trials \d+", "--trials 3"),
    (r"--tune-all \d+", "--tune-all 2"),
    (r"--steps \d+", "--steps 2"),
    (r"--window \d+", "--window 32"),
    (r"--chunk \d+", "--chunk 16"),
    (r"\bDIR\b", "data"),
    (r"XXXXXXXX", "*"),
)
"""What makes a command smaller, or names what its reader has."""


def cut_down(expand):
    """Runs of one seed with few episodes and shots; of many, and under several budgets, two methods, each once."""

    def few(block):
        whole = [spec for spec in expand(block) if spec.seed == block.seeds[0]]
        methods = dict.fromkeys(spec.method for spec in whole)
        are_many = len(whole) > 12 or len({spec.budget for spec in whole}) > 1
        some = sorted(methods, key=lambda name: name not in COMPARED)[: 2 if are_many else None]
        runs, seen = {}, set()
        for spec in whole:
            budget = spec.budget
            if spec.method not in some or (are_many and (spec.method, budget) in seen):
                continue
            seen.add((spec.method, budget))
            limits = {name: min(limit, AT_MOST.get(name, limit)) for name, limit in budget.limits().items()}
            changes = {
                "budget": budget.model_copy(update=limits),
                "episodes": min(spec.episodes, 2),
                "queries": spec.queries and min(spec.queries, 3),
                "shots": spec.shots if spec.shots == "full" else min(spec.shots, SHOTS),
            }
            if spec.match is not None and (kept := [axis for axis in spec.match.axes if axis != "adapt_seconds"]):
                # Whether tiny models keep to another's milliseconds is a matter of chance.
                changes["match"] = spec.match.model_copy(update={"axes": tuple(kept)})
            run = spec.model_copy(update=changes)
            runs[run.model_dump_json()] = run
        return list(runs.values())

    return few


def fit_briefly(module, group, devices, most_steps, callbacks):
    """Training with few steps."""
    return fit(module, group, devices, min(most_steps or STEPS, STEPS), callbacks)


def fewer_trials(tune):
    """Tuning of a suite with few trials, as FEWER has them on the command line."""
    return lambda self, runs: tune(self, [(spec, trials and min(trials, 3)) for spec, trials in runs])


@pytest.fixture
def bench(tmp_path, monkeypatch, in_process, cache):
    """``bench ...`` on stand-ins, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    for name in ("BENCH_DATA", "BENCH_STORE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_MODE", "offline")
    small_tasks(monkeypatch)
    monkeypatch.setattr(registry, "make_backbone", stand_in)
    monkeypatch.setattr("bench.spec.expand.expand", cut_down(expand))
    monkeypatch.setattr("bench.runs.runner.fresh_processes", same_process)
    monkeypatch.setattr("bench.engine.adapt.fit", fit_briefly)
    monkeypatch.setattr("bench.results.known_calls._environment", str)  # hashes all sources, twice in each call
    monkeypatch.setattr("bench.engine.early_server.FORKS", False)  # there is no worker to prepare a process for
    monkeypatch.setattr("bench.costs.in_turn.LEAST_PAIRS", 2)
    monkeypatch.setattr("bench.costs.in_turn.MOST", 2)
    monkeypatch.setattr("bench.cli.test.subprocess.run", run_python)
    monkeypatch.setattr(TuneAll, "__call__", fewer_trials(TuneAll.__call__))
    # The states of methods on tiny models are in another proportion than on those of the documentation.
    monkeypatch.setattr("bench.spec.budget.TOLERANCE", 1.0)
    (tmp_path / "data").mkdir()

    def command(line):
        for pattern, fewer in FEWER:
            line = re.sub(pattern, fewer, line)
        words = [str(next(Path().glob(word))) if "*" in word else word for word in shlex.split(line)[1:]]
        if words[0] in {"run", "sweep"}:
            words += ["--logger", "none"]
        if words[:2] == ["readout", "train"]:
            words += ["--logger", "csv", "--memories", "1"]  # there is room for one
        code, out, err = in_process(*words)
        assert code == 0, f"{line}: {err}"
        return out

    return command


def prepare(page, bench, site):
    """What the reader of a page has made before."""
    if page == "docs/add-a-method.md":
        install_examples(page, bench, site)
    if page == "docs/add-a-metric.md":
        install_guide(page, "metric", "brier_score", bench, site)
        kind, metric = "    kind = Kind.TEXT_CLASSIFICATION\n", '    metric = "brier_score"\n'
        assert metric in (ROOT / page).read_text(encoding="utf-8")
        install_guide("docs/add-a-task.md", "task", "my_words", bench, site, change=(kind, kind + metric))
    if page == "docs/add-a-backbone.md":
        install_guide(page, "backbone", "thumbnails", bench, site)
    if page == "docs/suites.md":
        blocks, _ = split((ROOT / page).read_text(encoding="utf-8"))
        suites = ["\n".join(lines) for language, lines in blocks if language == "yaml"]
        for name, suite in zip(("my_suite", "my_ablation"), suites, strict=True):
            Path(f"{name}.yaml").write_text(suite, encoding="utf-8")
    if page == "README.md":
        bench("bench run quickstart")
    if page == "docs/claims.md":
        bench("bench run --task digits --method faast --shots 5")
    if page in {"docs/errors.md", "docs/page.md", "docs/records.md", "docs/statistics.md"}:
        bench("bench run --task digits --method faast --method knn --shots 5")
    if page == "docs/statistics.md":
        shutil.copytree("runs", "data", dirs_exist_ok=True)


def whole_modules(page):
    """The Python blocks of a page that are a plugin's whole module."""
    blocks, _ = split((ROOT / page).read_text(encoding="utf-8"))
    return ["\n".join(lines) for language, lines in blocks if language == "python" and "PLUGIN =" in "\n".join(lines)]


def install_tutorial(site):
    """The package that a tutorial has just had written, with the tutorial's method in it, as pip installs it."""
    (method,) = whole_modules("docs/tutorial.md")
    Path("my-plugins/my_plugins/soft_prototype.py").write_text(method, encoding="utf-8")
    install(Path("my-plugins"), site)
    registry.find.cache_clear()


def install_examples(page, bench, site):
    """A package with the methods of a guide: one as it is written from the template, one as the guide has it."""
    bench("bench new method cosine_prototype --package examples")
    (method,) = whole_modules(page)
    Path("examples/examples/outer_product.py").write_text(method, encoding="utf-8")
    project = Path("examples/pyproject.toml")
    entry = 'cosine_prototype = "examples.cosine_prototype:PLUGIN"'
    text = project.read_text(encoding="utf-8")
    assert entry in text
    project.write_text(text.replace(entry, f"{entry}\n{entry.replace('cosine_prototype', 'outer_product')}"))
    install(Path("examples"), site)
    registry.find.cache_clear()


def install_guide(page, kind, name, bench, site, change=("", "")):
    """A package with the plugin of a guide, as the guide has it but for a change of its text."""
    bench(f"bench new {kind} {name} --package a_{kind}")
    (module,) = whole_modules(page)
    assert change[0] in module
    Path(f"a_{kind}/a_{kind}/{name}.py").write_text(module.replace(*change, 1), encoding="utf-8")
    install(Path(f"a_{kind}"), site)
    registry.find.cache_clear()


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder of installed packages, for this process and those that it starts."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    yield folder
    forget(folder)


def test_what_is_tested_elsewhere_is_in_the_documentation():
    assert set(ELSEWHERE) <= {line for page in PAGES for line in commands(page)}
    assert [line for line, page in ON_PAGE.items() if line not in commands(ROOT / page)] == []


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if any(commands(page))], ids=lambda page: page.name)
def test_the_commands_of_a_page_succeed(bench, request, page):
    name = page.relative_to(ROOT).as_posix()
    site = request.getfixturevalue("site") if name in INSTALLING else None
    prepare(name, bench, site)
    for line in commands(page):
        made = set(Path("runs").glob("*.json"))
        if line in ELSEWHERE or (page.parent.name == "results" and not line.startswith("bench run ")):
            continue
        if page.parent.name == "results":
            assert " runs: " in bench(f"{line} --dry-run"), line
            continue
        if ON_PAGE.get(line, name) != name:
            continue
        if "--baseline baseline" in line:
            shutil.copytree("runs", "baseline")
        if line.startswith("bench records import"):
            for folder in line.split()[3:]:
                shutil.copytree("runs", folder)
        assert SHOWN.get(line, "") in " ".join(bench(line).split()), line
        if line == "bench new method soft_prototype --package my-plugins":
            install_tutorial(site)
        new = [json.loads(path.read_text(encoding="utf-8")) for path in set(Path("runs").glob("*.json")) - made]
        assert not new or "ok" in {record["status"] for record in new}, line
