"""Wrong words, suites, budgets and data: one line that names what to do, and no exit code 0, before anything runs."""

import re

import pytest

from tests.helpers.command import STRIPES, one_line

DIGITS = ["run", "--task", "digits", "--logger", "none"]
FAAST = [*DIGITS, "--method", "faast"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "quickstrt"], "no suite 'quickstrt'; did you mean 'quickstart'?"),
        ([*FAAST, "--method", "faast,knnn"], "no method 'knnn'; did you mean 'knn'?"),
        ([*FAAST, "--preset", "publishd"], "no preset 'publishd'; did you mean 'published'?"),
        ([*FAAST, "--budget", "second=1"], "the budget on digits has no axis 'second'"),
        (["run", "missing.yaml"], "no such suite file: missing.yaml"),
        (["run"], "needs a suite, or a task and a method"),
        (["run", "quickstart", "--task", "digits"], "suite quickstart already describes the runs; leave out task, or"),
        (
            ["run", "quickstart", "--shots", "3", "--set", "a.b=1"],
            "suite quickstart already describes the runs; leave out shots, set, or",
        ),
        (["run", "--task", "digitz", "--method", "knn"], "no task 'digitz'; did you mean 'digits'?"),
        ([*DIGITS, "--method", "fast"], "no method 'fast'; did you mean 'faast'?"),
        ([*FAAST, "--backbone", "efficientnet"], "no backbone 'efficientnet'; did you mean 'efficientnet_lite0'?"),
        ([*FAAST, "--backbone", "efficientnet_lite0:x"], "backbone efficientnet_lite0 needs no argument"),
        (
            [*FAAST, "--backbone", "smollm2_135m"],
            "smollm2_135m reads language_modelling, text_classification, text_generation; digits is image_class",
        ),
        ([*FAAST, "--set", "faast.alfa=1"], "method faast has no field 'alfa'; did you mean 'alpha'?"),
        ([*FAAST, "--set", "knn.k=1"], "no method 'knn' in this block; known: faast"),
        (
            [*FAAST, "--set", "faast.alpha=-1"],
            "faast: alpha: Input should be greater than or equal to 0.*got -1",
        ),
        ([*FAAST, "--set", "faast.alpha=high"], "faast: alpha: Input should be a valid number.*got 'high'"),
        ([*FAAST, "--set", "faast.solver=magic"], "faast: solver: Input should be .*'pinv'.*, got 'magic'"),
        ([*FAAST, "--set", "faast.alpha"], "run: set: needs METHOD.FIELD=VALUE"),
        ([*FAAST, "--set", "faast=1"], "run: set: needs METHOD.FIELD=VALUE"),
        ([*FAAST, "--set", "faast.alpha=[1"], "run: set: faast.alpha needs a value in YAML, got '.1'"),
        ([*FAAST, "--shots", "0"], "run: shots: needs positive numbers or 'full'.*got \\['0'\\]"),
        ([*FAAST, "--shots", "1,,5"], "run: shots: needs positive numbers"),
        ([*FAAST, "--shots", "²"], "run: shots: needs positive numbers"),
        ([*FAAST, "--seeds", "x"], "run: seeds: needs numbers or ranges, such as 0-4 or 0,2,7, got \\['x'\\]"),
        ([*FAAST, "--seeds", "4-0"], "run: seeds: needs numbers or ranges"),
        ([*FAAST, "--episodes", "0"], "episodes: Input should be greater than or equal to 1, got 0"),
        ([*FAAST, "--queries", "0"], "queries: Input should be greater than or equal to 1.*'all', got '0'"),
        ([*FAAST, "--queries", "some"], "queries: Input should be a valid integer.* or .*'all', got 'some'"),
        ([*FAAST, "--ways", "1"], "ways: Input should be greater than or equal to 2, got 1"),
        ([*FAAST, "--ways", "11"], "digits has 10 classes; --ways must lie in 2..10, got 11"),
        ([*FAAST, "--shots", "900"], "class '0' has 89 support items, 900 required; use --shots 89 or fewer"),
        ([*FAAST, "--accelerator", "abacus"], "--accelerator abacus .* cannot be used here: .*cpu"),
        ([*FAAST, "--devices", "0"], "a run uses one device, got --devices 0"),
        (
            [*FAAST, "--devices", "2"],
            "a run uses one device, got --devices 2; .*--strategy fsdp, deepspeed or device_map",
        ),
        ([*FAAST, "--devices", "2", "--strategy", "fsdp", "--jobs", "2"], "--strategy fsdp .* without several jobs"),
        ([*FAAST, "--precision", "half"], "run: precision: .*32-true.*got .half."),
        ([*FAAST, "--data", "nowhere"], "--data needs a folder, got nowhere"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(bench, words, message):
    line = one_line(bench(*words), 2)
    assert re.search(message, line), line


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: x\nblocks:\n  - {task: digits, methods: [faast], shot: [1]}", "'blocks.0.shot'; did you mean 'shots'"),
        ("name: x\nblock: []", "has no field 'block'; did you mean 'blocks'"),
        ("name: x\nblocks:\n  - {task: digits, metods: [faast]}", "no field 'blocks.0.metods'; did you mean 'methods'"),
        ("name: x\nblocks: []", "blocks: List should have at least 1 item"),
        ("name: x\nblocks:\n  - {task: digits}", "needs the field 'blocks.0.methods', which is missing"),
        ("name: x\nblocks:\n  - {task: digits, methods: 5}", "blocks.0.methods: .*valid string, got 5"),
        ("name: x\nblocks:\n  - {task: digits, methods: [faast], shots: [0]}", "blocks.0.shots: .*'full'.*, got .0.$"),
        (
            "name: x\nblocks:\n  - {task: digits, methods: [faast], seeds: [a]}",
            "blocks.0.seeds: needs numbers or ranges.*, got .'a'.$",
        ),
        ("name: x\nblocks:\n  - {task: digits, methods: [faast], set: {knn: {k: 1}}}", "no method 'knn' in this block"),
        (
            "name: x\nblocks:\n  - {task: digits, methods: [faast], set: {faast: {a: 1}}}",
            "faast has no field 'a'",
        ),
        ("name: x\nblocks:\n  - {task: digts, methods: [faast]}", "no task 'digts'; did you mean 'digits'"),
        ("name: [x\nblocks", "is not valid YAML"),
        ("- 1\n- 2", "needs a mapping with 'name' and 'blocks', got list"),
        ("", "needs a mapping with 'name' and 'blocks', got NoneType"),
        (b"\xff\xfe\x00", "is not valid YAML"),
    ],
)
def test_a_wrong_suite_is_one_line_and_exit_code_2(bench, clean, text, message):
    (clean / "mine.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    line = one_line(bench("run", "mine.yaml", "--logger", "none"), 2)
    assert re.search(message, line), line


def test_an_unreachable_hub_is_one_line_that_names_the_local_option(bench, clean, monkeypatch):
    # A port where nobody listens, and an empty cache of downloads.
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(clean / "hub"))
    line = one_line(bench("run", "--task", "cifar10", "--method", "faast", "--logger", "none"), 1)
    assert "--data DIR or BENCH_DATA" in line
    assert "cifar10/train.parquet" in line


@pytest.mark.parametrize("store", ["nowhere", "empty"])
def test_a_store_without_records_is_a_failure(bench, clean, store):
    (clean / "empty").mkdir()
    assert "no records in" in one_line(bench("leaderboard", "--store", store), 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--budget", "adapt_seconds=0"], "adapt_seconds needs a number above 0"),
        (["--budget", "adapt_seconds=-2"], "adapt_seconds needs a number above 0"),
        (["--budget", "state_mb=9", "--budget", "peak_memory_mb=1"], "contradicts"),
        (["--budget", "steps=9", "--match", "faast:steps"], "a budget and a match may not both limit steps"),
        (["--budget", "steps=9", "--budget-grid", "steps=1,2"], "steps cannot have both a budget and a grid"),
        (["--match", "fast"], "did you mean"),
        (["--match", "zero_shot"], "it uses no support set"),
        (["--budget", "peak_memory_mb=0.001"], "is below what pixels itself costs"),
    ],
)
def test_a_budget_that_cannot_be_is_refused_before_anything_runs(words, message, bench, outside, clean):
    assert message in one_line(bench(*STRIPES, "--shots", "1", "--episodes", "1", "--logger", "none", *words), 2)
    assert not list((clean / "runs").glob("*.json"))
