"""How costs are measured: what is sent, what is held, and that no lie makes a method cheaper."""

import pickle
from dataclasses import replace

import pytest
import torch

from bench import registry
from bench.contracts import Kind
from bench.costs.budget_fit import fit_parameters, limits_of
from bench.costs.repeats import LEAST
from bench.data.batches import EpisodeGroup
from bench.data.episodes import draw_episodes, episode_spec
from bench.engine.worker import InlineWorker
from bench.runs.group import RunGroup
from bench.runs.report import Report
from bench.spec.budget import Budget
from bench.spec.expand import expand
from bench.spec.suite import Block
from bench.testing.doubles import tiny_language_model
from bench.testing.problems import problem
from methods.lora import Lora, LoraConfig
from tests.helpers.runs import Notebook, runner_in

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("outside", "cache")]


@pytest.fixture
def runner(tmp_path):
    return runner_in(tmp_path)


def run(runner, *methods, **changes):
    block = {"task": "stripes", "backbone": "pixels", "methods": list(methods), "shots": [5], "episodes": 2} | changes
    report = runner.run(expand(Block.model_validate(block)))
    return {record.spec.method: record for record in report.records}


def test_in_one_process_each_repeat_has_an_episode_of_its_own(runner):
    costs = run(runner, "faast", episodes=6)["faast"].costs
    assert LEAST <= costs.repeats <= 5  # the sixth episode warms up
    assert costs.adapt.seconds_low <= costs.adapt.seconds <= costs.adapt.seconds_high
    assert costs.process == "same"
    assert (costs.n_support, costs.n_queries) == (20, 20)
    assert costs.encode_sample == 32
    assert costs.encode.seconds > 0
    assert costs.adapt.seconds_spread >= 0
    assert costs.adapt.flops > 2 * 20 * 20 * 144  # its Gram matrix at least
    assert costs.query.flops > 0


def test_a_gradient_method_tells_its_steps_and_what_they_take(runner):
    few = run(runner, "linear_probe", set={"linear_probe": {"steps": 10}})["linear_probe"].costs
    many = run(runner, "linear_probe", set={"linear_probe": {"steps": 40}})["linear_probe"].costs
    assert (few.steps, many.steps) == (10, 40)
    assert few.optimizer_mb > 0
    # A product of [4, 20] with [20, 20] forward and one backward, each step; what prepares them comes once.
    assert many.adapt.flops - few.adapt.flops == 30 * 2 * (2 * 4 * 20 * 20)
    assert many.adapt.seconds > few.adapt.seconds


def test_work_deferred_to_the_query_is_charged_there(runner):
    seconds = 0.06
    honest = run(runner, "lying", set={"lying": {"seconds": seconds}})["lying"].costs
    lying = run(runner, "lying", set={"lying": {"seconds": seconds, "lie": "defer"}})["lying"].costs
    assert honest.adapt.seconds >= seconds > honest.query.seconds
    assert lying.query.seconds >= seconds > lying.adapt.seconds
    assert lying.time_to_first_query + lying.n_queries * lying.seconds_per_query >= seconds


def test_work_before_the_first_example_is_charged_to_adapting(runner):
    seconds = 0.06
    costs = run(runner, "lying", set={"lying": {"seconds": seconds, "lie": "make"}})["lying"].costs
    assert costs.adapt.seconds >= seconds > costs.query.seconds


@pytest.mark.usefixtures("measured_once")
def test_operations_of_all_validations_are_counted(runner, monkeypatch):
    """Of the first steps alone operations are counted, and with them one validation of five."""
    given = {"shots": [15], "set": {"linear_projection": {"epochs": 5, "batch_size": 14}}}
    costs = run(runner, "linear_projection", **given)["linear_projection"].costs
    assert costs.steps == 20
    monkeypatch.setattr("bench.costs.passes.COUNTED_STEPS", costs.steps)
    each = run(replace(runner, force=True), "linear_projection", **given)["linear_projection"].costs
    assert costs.adapt.flops == each.adapt.flops


@pytest.mark.parametrize("lie", ["none", "make", "free", "defer"])
def test_memory_is_seen_wherever_it_was_taken_and_given_back(runner, lie):
    costs = run(runner, "lying", set={"lying": {"megabytes": 200, "lie": lie}})["lying"].costs
    stage = costs.query if lie == "defer" else costs.adapt
    assert stage.peak_memory_mb == pytest.approx(200, rel=0.1)
    assert costs.peak_memory_mb >= 180


def test_a_budget_that_is_not_kept_is_a_row_with_limit_and_measurement(runner):
    made = run(runner, "lying", "faast", budget={"adapt_seconds": 0.1}, set={"lying": {"seconds": 0.2}})
    assert made["faast"].status == "ok"
    assert made["faast"].limits == {"adapt_seconds": 0.1}
    late = made["lying"]
    assert late.status == "over_budget"
    assert late.value is None
    assert late.violations["adapt_seconds"] >= 0.2
    assert "adapt_seconds is 0.2" in late.reason
    assert "0.1 allowed" in late.reason


@pytest.mark.usefixtures("measured_once")
def test_memory_over_the_budget_ends_the_run(runner):
    made = run(runner, "lying", budget={"peak_memory_mb": 120}, set={"lying": {"megabytes": 300}})["lying"]
    assert made.status == "over_budget"
    assert made.violations["peak_memory_mb"] > 250


@pytest.mark.usefixtures("measured_once")
def test_running_out_of_memory_is_a_row(runner, monkeypatch):
    from methods.knn import Knn

    def out(*_):
        raise MemoryError("no more")

    monkeypatch.setattr(Knn, "observe", out)
    made = run(runner, "knn", "faast")
    assert made["faast"].status == "ok"
    assert made["knn"].status == "over_budget"
    assert "memory ran out" in made["knn"].reason


@pytest.mark.usefixtures("measured_once")
def test_a_budget_of_steps_is_kept(runner):
    made = run(runner, "linear_probe", budget={"steps": 7})["linear_probe"]
    assert made.status == "ok"
    assert made.costs.steps == 7


@pytest.mark.usefixtures("measured_once")
def test_a_budget_of_operations_is_kept(runner):
    free = run(runner, "linear_probe", set={"linear_probe": {"steps": 50}})["linear_probe"].costs
    # All but 25 steps, each of 6,400 operations; encoding and what prepares the steps come first.
    limit = free.flops - 25 * 6400
    held = run(runner, "linear_probe", set={"linear_probe": {"steps": 50}}, budget={"flops": limit})["linear_probe"]
    assert held.status == "ok", held.reason
    assert held.costs.flops <= limit
    assert held.costs.steps in (24, 25)
    none = run(runner, "linear_probe", budget={"flops": 1000})["linear_probe"]
    assert none.status == "over_budget"
    assert "flops" in none.violations


def test_a_match_takes_the_references_cost_as_the_others_budget(runner):
    made = run(runner, "softmax_memory", "linear_probe", shots=[15], match="faast:state_mb,adapt_seconds")
    reference = made["faast"]
    assert reference.limits == {}
    stored = made["softmax_memory"]
    assert stored.limits["state_mb"] == reference.costs.state_mb
    adapt = reference.costs.adapt
    assert stored.limits["adapt_seconds"] == adapt.seconds + adapt.seconds_spread / 2
    assert stored.costs.state_mb <= reference.costs.state_mb
    # Enough examples that the store had to choose, and as full as whole items let it be.
    item = (4 * 144 + 4 * 4 + 1) / 2**20
    assert reference.costs.state_mb - stored.costs.state_mb < item
    assert str(stored.spec.match) == "match faast:state_mb,adapt_seconds"


@pytest.mark.usefixtures("measured_once")
def test_a_match_to_what_failed_says_so(runner):
    made = run(runner, "faast", match="faulty:state_mb")
    assert made["faast"].status == "failed"
    assert "matched to faulty, whose costs are not known: it is failed: RuntimeError: planted defect" in (
        made["faast"].reason
    )


@pytest.mark.usefixtures("measured_once")
def test_a_grid_runs_every_budget(runner):
    block = {"task": "stripes", "backbone": "pixels", "methods": ["faast"], "shots": [5], "episodes": 2}
    specs = expand(Block.model_validate(block | {"budget_grid": {"steps": [1, 10], "tokens": [100]}}))
    assert [spec.budget.limits() for spec in specs] == [{"steps": 1, "tokens": 100}, {"steps": 10, "tokens": 100}]
    assert len({record.id for record in runner.run(specs).records}) == 2


def test_what_is_sent_to_the_worker_has_no_query_labels(runner):
    """The payload is all that the measuring process gets, and it must not hold what a query's class is."""
    block = {"task": "stripes", "backbone": "pixels", "methods": ["faast"], "shots": [5], "episodes": 2}
    (spec,) = expand(Block.model_validate(block))
    data = registry.task_class("stripes")().load(None)
    episodes = draw_episodes(data, episode_spec(spec))
    backbone = registry.make_backbone("pixels")
    seen = []

    class Watching(InlineWorker):
        def call(self, function, *arguments):
            seen.extend(arguments)
            return function(self.backbone, *pickle.loads(pickle.dumps(arguments)))

    group = RunGroup(
        data, backbone, lambda: Watching(backbone), runner.devices, False, Report(runner.store, Notebook())
    )
    group.run([(spec, episodes)])
    requests = [one for one in seen if hasattr(one, "payloads")]
    (answered,) = [one for one in seen if hasattr(one, "payload")]
    alone = [payload for request in requests for payload in (*request.payloads, request.warm_up)]
    assert len(alone) == 4
    for payload, n_episodes in [*((payload, 1) for payload in alone), (answered.payload, 2)]:
        assert (payload.data.query.labels == 0).all()
        assert (payload.episodes.query_labels <= 0).all()
        assert len(payload.episodes) == n_episodes
    timed, measured = requests[-1], requests[-1].payloads[0]
    assert len(measured.data.support.labels) == 20
    assert len(measured.data.query.labels) == 20
    # What is timed is the first episode: the same features in the same order.
    ours = EpisodeGroup(measured.source(backbone), timed.run, measured.episodes)
    for batch, pool, positions in (
        (next(ours.support_batches()), data.support, episodes.support[0]),
        (next(ours.query_batches()), data.query, episodes.query[0]),
    ):
        expected = [backbone.prepare(pool.inputs[int(position)]["input"]) for position in positions]
        torch.testing.assert_close(batch.keys[0], backbone.encode(backbone.collate(expected)).keys)
    assert next(ours.support_batches()).labels.tolist() == [episodes.support_labels[0].tolist()]


def test_lora_takes_the_rank_that_fits():
    backbone = tiny_language_model()
    given = problem(n_shot=2, key_dim=8, sizes=[4])
    shape = replace(given.shape, kind=Kind.TEXT_CLASSIFICATION)
    each = Lora(LoraConfig(rank=1), backbone, shape).trainable_params()
    config, violation = fit_parameters(Lora, LoraConfig(), backbone, shape, 3 * each + each // 2)
    assert violation is None
    assert config.rank == 3
    assert Lora(config, backbone, shape).trainable_params() == 3 * each
    config, violation = fit_parameters(Lora, LoraConfig(), backbone, shape, each - 1)
    assert violation.measured == each


def test_limits_are_in_bytes():
    assert limits_of(Budget(state_mb=0.5, tokens=7)).state_bytes == 2**19
    assert limits_of(Budget()).state_bytes is None


@pytest.mark.parametrize("method", ["faast", "linear_probe", "zero_shot"])
def test_a_single_episode_is_scored_by_what_was_measured(runner, monkeypatch, method):
    two = run(runner, method)[method]

    def again(*_):
        raise AssertionError("adapted once more than needed")

    monkeypatch.setattr("bench.runs.single_run.answer_episodes", again)
    one = run(replace(runner, force=True), method, episodes=1)[method]
    assert one.status == "ok", one.reason
    assert one.episode_scores == pytest.approx(two.episode_scores[:1])
    assert one.n_queries == two.n_queries // 2


def test_what_takes_long_is_run_once(runner, monkeypatch):
    from methods._faast_features import FaastOnFeatures

    observed = []
    observe = FaastOnFeatures.observe
    usual = run(runner, "faast", episodes=1, set={"faast": {"prior_strength": 4.0}})["faast"]
    monkeypatch.setattr("bench.costs.repeats.LONG", 0.0)
    monkeypatch.setattr("bench.costs.repeats.PATIENCE", 0.0)
    monkeypatch.setattr(FaastOnFeatures, "observe", lambda self, support: observed.append(1) or observe(self, support))
    record = run(runner, "faast", episodes=1)["faast"]
    assert record.status == "ok"
    assert record.costs.repeats == 0
    assert record.costs.adapt.flops > 0
    assert record.costs.adapt.seconds > 0
    assert len(observed) == 2  # some of its support set to warm up, all of it while operations are counted
    assert record.episode_scores == usual.episode_scores  # counting changes no answer
    assert record.costs.adapt.flops == usual.costs.adapt.flops
    held = run(runner, "faast", episodes=1, budget={"adapt_seconds": 60})["faast"]
    assert held.costs.repeats == 1  # what is held to a limit is measured by itself
    # Steps are counted for the first few alone, so that counting measures nothing.
    probe = run(runner, "linear_probe", episodes=1, set={"linear_probe": {"steps": 30}})["linear_probe"]
    assert (probe.costs.repeats, probe.costs.steps) == (1, 30)
