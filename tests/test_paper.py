"""The paper's page: published values are of runs of their suites, marked places are filled, figures show records."""

import importlib
import re
import shutil

import pytest

from bench.contracts.site import name_at_site
from bench.results.record import Stage
from bench.results.store import Store
from bench.spec.expand import expand
from bench.spec.suite import load_suite, suite_paths
from tests.helpers.places import ROOT
from tests.helpers.records import COSTS, made

PROVENANCE = {"bench": "1", "torch": "2", "python": "3", "finished": "2026-01-01T00:00:00+00:00"}
CLIP = "open_clip:RN50-quickgelu/openai"


@pytest.fixture
def paper(monkeypatch):
    """The script, as ``python docs/results/paper.py`` finds its neighbours."""
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "results"))
    return importlib.import_module("paper")


@pytest.fixture
def figures(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "results"))
    return importlib.import_module("paper_figures")


def record(scores=(40.0, 60.0), ends=(None, None), costs=COSTS, **spec):
    found = made({"config": {}, **spec}, episode_scores=list(scores), value=sum(scores) / len(scores), costs=costs)
    return found.model_copy(update={"provenance": PROVENANCE, "ci_low": ends[0], "ci_high": ends[1]})


def test_every_published_value_is_of_a_run_of_its_suite(paper):
    for entry in paper.entries():
        assert {entry.suite, entry.small} <= suite_paths().keys()
        runs = {
            (spec.task, spec.backbone, name_at_site(spec.method, spec.config), str(spec.shots))
            for block in load_suite(entry.suite).blocks
            for spec in expand(block)
        }
        for row in entry.rows:
            assert (row["task"], row.get("backbone", entry.backbone), row["method"], str(row["shots"])) in runs, row
    named = {name for entry in paper.entries() for name in (entry.suite, entry.small)}
    assert named == {name for name in suite_paths() if name.startswith(("paper_", "ablation_"))}


def test_long_contexts_have_the_published_exponents():
    runs = [spec for block in load_suite("paper_longicl").blocks for spec in expand(block)]
    assert len(runs) == 6 * 2 * 2 * 2  # data sets, numbers of demonstrations, methods, backbones
    assert {(spec.task, spec.config["alpha"]) for spec in runs if spec.method == "faast"} == {
        ("longicl:goemotion", 0.8), ("longicl:banking77", 1.0), ("longicl:tacred", 0.9), ("longicl:discovery", 0.6),
        ("longicl:fewnerd", 0.8), ("longicl:dialogre", 0.7),
    }  # fmt: skip


def test_the_committed_page_has_every_suite_and_published_value(paper):
    text = (ROOT / "docs" / "paper.md").read_text(encoding="utf-8")
    for entry in paper.entries():
        assert f"### {entry.title}\n" in text
        assert f"`bench run {entry.suite}`" in text
        assert f"`bench run {entry.small}`" in text
        for row in entry.rows:
            assert f"| {row['what']} | {row['published']} | " in text, (
                "make it anew: python docs/results/paper.py --no-run"
            )


PAGES = {
    "long-contexts": "paper_longicl_small", "in-place-ttt": "needle_small", "fast-slow": "fast_slow_small",
    "fast-weights": "recall", "paper": "paper_scaling_small", "middle-memories": "middle_memories",
}  # fmt: skip


@pytest.mark.parametrize(("page", "suite"), PAGES.items(), ids=PAGES)
def test_each_system_has_a_page_with_a_figure_and_a_table_of_a_suite_that_ships(figures, page, suite):
    path = ROOT / "docs" / "results" / f"{page}.md"
    text = path.read_text(encoding="utf-8")
    image = figures.OF_SUITES[suite][0] if suite in figures.OF_SUITES else f"{suite}-"
    (shown,) = {found for found in re.findall(r"\(\.\./images/(.+?\.svg)\)", text) if found.startswith(image)}
    assert (ROOT / "docs" / "images" / shown).is_file()
    assert suite in suite_paths()
    assert f"<!-- table: suite={suite}" in text or page == "fast-weights"  # there the figure has all scores


def test_pages_are_filled_from_the_results_that_there_are(paper, tmp_path, monkeypatch, capsys):
    paper_pages = importlib.import_module("paper_pages")
    (tmp_path / "docs").mkdir()
    shutil.copy(ROOT / "docs" / "paper.md", tmp_path / "docs")
    shutil.copytree(ROOT / "docs" / "results", tmp_path / "docs" / "results")
    Store(tmp_path / "results" / "paper_vision").write(record(task="cifar10", backbone=CLIP, method="faast", shots=5))
    small = record(task="digits", method="faast", config={"alpha": 0.4}, shots=5)
    Store(tmp_path / "results" / "ablation_alpha_small").write(small)
    (tmp_path / paper_pages.SECONDS).write_text('{"paper_vision": 7200, "ablation_alpha_small": 60}')
    drawn = []

    def draw(found):
        drawn.extend(found)
        for path in found:
            path.parent.mkdir(exist_ok=True)
            path.touch()

    importlib.import_module("charts")
    monkeypatch.setattr("charts.write_images", draw)
    paper.main(["--no-run", "--root", str(tmp_path)])
    assert drawn == [tmp_path / "docs" / "images" / "paper-alpha.svg"]
    text = (tmp_path / "docs" / "paper.md").read_text()
    assert "| CIFAR-10, 10-way 5-shot | 73.8 | 50.00" in text
    assert "| CIFAR-10, all of it | 86.7 | not run |" in text
    assert "`bench run paper_vision`: CLIP RN50; took 2.0 h." in text
    assert "`bench run ablation_alpha_small`, which took 60 s." in text
    page = (tmp_path / "docs" / "results" / "paper.md").read_text()
    assert "![Score against alpha, by shots](../images/paper-alpha.svg)" in page
    mark = "<!-- figure: paper-prior.svg Score against the prior strength N0, by shots -->"
    assert f"{mark}\n\n{paper_pages.NOT_RUN}" in page
    capsys.readouterr()
    paper.main(["--no-run", "--root", str(tmp_path)])
    assert capsys.readouterr().out == f"wrote {drawn[0]}\n", "a second time no page changes"


def test_a_suite_is_run_into_its_store_and_its_time_is_added_up(paper, tmp_path, monkeypatch):
    calls = []

    def run(suite, data, store, logger):
        calls.append((suite, data, store, logger))
        if len(calls) < 3:
            Store(store).write(record(task="digits", method="faast", seed=len(calls)))
        return paper.bench.load(store)

    monkeypatch.setattr("bench.run", run)
    monkeypatch.setattr(paper, "write_figures", lambda results: [])
    monkeypatch.setattr(paper, "write_pages", lambda results: [])
    times = []
    for _ in range(3):
        paper.main(["paper_nshot_small", "--root", str(tmp_path), "--data", str(tmp_path)])
        times.append(paper.Measured(tmp_path).seconds()["paper_nshot_small"])
    assert calls[0] == ("paper_nshot_small", tmp_path, tmp_path / "results" / "paper_nshot_small", "none")
    assert 0 <= times[0] <= times[1] == times[2], "nothing new, no more time"
    with pytest.raises(SystemExit):
        paper.main(["paper_no_such"])


def test_by_default_small_suites_are_run_and_those_on_other_data_where_there_are_data(paper, tmp_path):
    names, with_data = paper.default_names(None), paper.default_names(tmp_path)
    assert len(set(with_data)) == len(with_data)
    assert {entry.small for entry in paper.entries()} < set(with_data)
    assert set(with_data) - set(names) == {"paper_translation_small", "in_place_carry"}
    assert {"needle_small", "sequence_small", "fast_slow_small", "recall", "fast_weights_rnn"} < set(names)
    assert {name for name in with_data if name not in suite_paths()} == {"fast_weights_rnn"}


def lines(figure, places):
    """Points of each line: its places, or its values."""
    return {trace.name: list(getattr(trace, places)) for trace in figure.data}


def test_figures_have_the_points_of_the_records(figures):
    def faast(shots, **config):
        return record(task="digits", method="faast", shots=shots, config=config, ends=(45.0, 55.0))

    zero = record((30.0, 34.0), task="digits", method="zero_shot", shots=0)
    by_prior = figures.by_prior(
        [faast(5, prior_strength=50), zero, faast(5, prior_strength=0), faast(1, prior_strength=0)]
    )
    assert lines(by_prior, "x") == {"1 shot": ["0"], "5 shots": ["0", "50"], "zero_shot": ["0", "50"]}
    assert lines(by_prior, "y")["zero_shot"] == [32.0, 32.0]
    assert by_prior.data[1].error_y.array == (5.0, 5.0)

    by_alpha = figures.by_alpha([faast(5, alpha=0.8), faast(5, alpha=0.2)])
    assert lines(by_alpha, "x") == {"5 shots": [0.2, 0.8]}

    costs = [COSTS.model_copy(update={"n_support": count, "state_mb": count / 10}) for count in (160, 16)]
    stores = [record(method="knn", shots=one.n_support, costs=one) for one in costs]
    scaling = figures.scaling(stores)
    assert [list(trace.x) for trace in scaling.data] == 3 * [[16, 160]]
    assert list(scaling.data[1].y) == [1.6, 16.0]
    contexts = figures.contexts([*stores, zero])
    assert {trace.name for trace in contexts.data} == {"knn"}
    assert [list(trace.x) for trace in contexts.data] == 3 * [[16, 160]]

    pairs = [record(task=task, method="hebbian", config={"decay": 1.0}) for task in ("recall", "recall:64")]
    recall = figures.recall([*pairs, record(task="recall:64", method="faast")])
    assert lines(recall, "x") == {"faast": [64], "hebbian, decay 1": [64, 256], figures.LAW: [64, 256]}
    assert lines(recall, "y")[figures.LAW] == pytest.approx([98.4, 59.3], abs=0.5)


def test_needles_are_drawn_by_haystack_attention_and_fast_weights(figures):
    # A record names 512 tokens, the first variant, by nothing.
    chunks, alone = {"attention": "chunk", "chunk": 128}, {"lr": 0, "chunk": 128}
    arms = [("needle:1024", chunks), ("needle", chunks), ("needle", alone), ("needle:512-removed", chunks)]
    made_up = [record(task=task, method="in_place_ttt", shots=1, config=config) for task, config in arms]
    drawn = figures.OF_SUITES["needle_small"][1](made_up)
    assert [title.text for title in drawn.layout.annotations] == ["needle in noise", "needle removed"]
    found = [(trace.name, list(trace.x), trace.mode) for trace in drawn.data]
    assert found == [
        ("attention within chunks, fast weights", ["512", "1,024"], "markers"),
        ("full attention", ["512"], "markers"),
        ("attention within chunks, fast weights", ["512"], "markers"),
    ]
    assert [line.y0 for line in drawn.layout.shapes] == [5, 5]  # chance


def test_sequences_are_drawn_with_what_was_lost_and_what_was_gained(figures):
    def stage(number, scores, start="sequence"):
        learnt = ["", "digits_split:0-4", "digits_split:5-9"][number]
        pairs = dict(zip(("digits_split:0-4", "digits_split:5-9"), scores, strict=True))
        return Stage(stage=number, learnt=learnt, start=start, scores=pairs, labels=25, steps=0, tokens=0, seconds=0)

    stages = [
        stage(0, ([20.0, 20.0], [20.0, 20.0])), stage(1, ([80.0, 90.0], [20.0, 20.0])),
        stage(2, ([70.0, 86.0], [60.0, 62.0])), stage(2, ([20.0, 20.0], [65.0, 65.0]), "base"),
    ]  # fmt: skip
    sequence = "digits_split:0-4 then digits_split:5-9"
    found = [
        record(task=sequence, method="ridge", shots=shots).model_copy(update={"stages": stages}) for shots in (20, 5)
    ]
    drawn = figures.OF_SUITES["sequence_small"][1](found)
    assert [title.text for title in drawn.layout.annotations] == [
        "digits_split:0-4: forgetting", "digits_split:5-9: plasticity",
    ]  # fmt: skip
    assert [(list(trace.x), list(trace.y)) for trace in drawn.data] == [([5, 20], [7.0, 7.0]), ([5, 20], [-4.0, -4.0])]


def test_cycles_of_fast_slow_training_are_drawn_by_arm(figures):
    curve = [
        {"steps": 0, "metric_calls": 9, "evolved": 0.5, "plain": 0.25, "kl": 0.0},
        {"steps": 6, "metric_calls": 9, "evolved": None, "plain": 0.75, "kl": 0.5},
    ]
    arms = [{"fast": False}, {}, {"prompt": "seed"}, {"fast": False, "slow": False}]
    made_up = [
        record(task="lexicon_swapped", method="fast_slow", config=config).model_copy(
            update={"notes": {"fast_slow_curve": curve}}
        )
        for config in arms
    ]
    drawn = figures.OF_SUITES["fast_slow_small"][1](made_up)
    assert [(trace.name, list(trace.x), list(trace.y)) for trace in drawn.data] == [
        ("both", [0], [50.0]), ("weights alone (slow)", [0], [50.0]),
        ("both", [0, 1], [25.0, 75.0]), ("weights alone (slow)", [0, 1], [25.0, 75.0]),
        ("both", [0, 1], [0.0, 0.5]), ("weights alone (slow)", [0, 1], [0.0, 0.5]),
    ]  # fmt: skip
