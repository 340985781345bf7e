"""One language model on several ranks or devices: scores of one device, and no rank that waits for one that ended."""

import os
import pickle
import signal
from dataclasses import dataclass, replace
from multiprocessing import Pipe

import psutil
import pytest
import torch

from bench import registry
from bench.contracts import UsageError
from bench.engine.placement import layout, place
from bench.engine.process_ending import WorkerEndedError, kernel_kills
from bench.engine.ranks import _first_answer
from bench.engine.split_blocks import local_part
from bench.engine.trainer import DeviceOptions, quiet_lightning
from bench.engine.worker import Worker
from bench.results.store import Store
from bench.runs.runner import Runner, fresh_processes, same_process
from bench.runs.splittable import require_splittable
from bench.spec.expand import expand
from bench.spec.strategies import RANKED
from bench.spec.suite import Block
from bench.testing.tiny_models import save_model
from tests.helpers.language import NAMES, PROMPTS, TEXTS
from tests.helpers.runs import Notebook

FSDP = DeviceOptions(accelerator="cpu", devices=2, strategy="fsdp")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return f"hf:{save_model(tmp_path_factory.mktemp('model'), 'llama', context=128)}"


def read(backbone):
    """Scores of answers and texts, and what is written after prompts."""
    with torch.no_grad():
        rolling = backbone.loglikelihood_rolling(TEXTS, 16, None)
    return backbone.loglikelihood(TEXTS[0], PROMPTS, NAMES), rolling, backbone.generate(PROMPTS, 4)


def require_same(found, expected):
    assert torch.equal(found[0], expected[0])
    assert torch.equal(found[1], expected[1])
    assert found[2] == expected[2]


@pytest.fixture(scope="module", params=RANKED)
def devices(request):
    """Two ranks by each strategy that is installed."""
    if request.param == "deepspeed":
        pytest.importorskip("deepspeed", reason="needs the extra deepspeed")
    return replace(FSDP, strategy=request.param)


@pytest.fixture(scope="module")
def ranked(model, devices):
    worker = fresh_processes(model, None, devices)
    yield worker
    worker.close()


def read_and_count(backbone):
    """``read``, and the share of the blocks' weights that this rank holds before and after."""

    def held():
        parameters = [parameter for block in backbone.blocks for parameter in block.parameters()]
        # A parameter that DeepSpeed has split is empty, and says how large it was.
        whole = sum(getattr(each, "ds_numel", each.numel()) for each in parameters)
        return sum(local_part(each).numel() for each in parameters) / whole

    return held(), read(backbone), held()


def kill_another(backbone):
    ranks = psutil.Process(os.getppid()).children()
    next(rank for rank in ranks if rank.pid != os.getpid()).kill()
    return read(backbone)


def end(backbone):
    os.kill(os.getpid(), signal.SIGKILL)


def call_a_part(backbone):
    return backbone.blocks[0].self_attn.o_proj(torch.zeros(1, backbone.width))


@pytest.mark.slow
def test_ranks_hold_a_part_of_each_block_and_read_as_one_device_does(ranked, model):
    before, found, after = ranked.call(read_and_count)
    assert before == after == 0.5
    require_same(found, read(registry.load_backbone(model)))


@pytest.mark.slow
@pytest.mark.parametrize("function", [kill_another, end])
def test_a_rank_that_ends_ends_the_call_and_the_next_one_is_answered(ranked, function):
    with pytest.raises(WorkerEndedError, match="ended by SIGKILL"):
        ranked.call(function)
    assert ranked.call(read)[2]


class Ended:
    """A process whose end shows before its exit status is known."""

    def __init__(self, status):
        self.sentinel, writing = Pipe(duplex=False)
        writing.close()
        self.exitcode, self.status = None, status

    def join(self):
        self.exitcode = self.status


def test_the_exit_status_of_a_rank_that_ended_is_waited_for():
    (first, held), (second, closed) = Pipe(duplex=False), Pipe(duplex=False)
    closed.close()
    content = _first_answer([Ended(0), Ended(-signal.SIGKILL)], [first, second], kernel_kills())
    held.close()
    assert "ended by SIGKILL" in str(pickle.loads(content).error)


@pytest.mark.slow
def test_a_part_of_a_block_that_is_called_by_itself_is_refused(ranked, devices):
    message = rf"--strategy {devices.strategy} has the weights of a block while the block runs.* Linear"
    with pytest.raises(UsageError, match=message):
        ranked.call(call_a_part)


def block(model, *methods, **changes):
    fields = {"task": "lexicon", "backbone": model, "methods": list(methods), "shots": [1], "episodes": 2, "queries": 3}
    return expand(Block.model_validate(fields | changes))


@dataclass
class Kept:
    """A worker that outlives the runs it serves."""

    worker: Worker
    process: str = "fresh"

    def call(self, function, *arguments):
        return self.worker.call(function, *arguments)

    def close(self):
        """Leave it to its fixture."""


@pytest.mark.slow
def test_runs_on_two_ranks_write_a_record_each_with_the_scores_of_one_device(
    tmp_path, model, ranked, devices, cache, monkeypatch
):
    quiet_lightning()
    specs = block(model, "knn", "in_context", "faast", set={"faast": {"site": "hidden_states"}})
    found = {}
    for each, isolate in ((devices, lambda *_: Kept(ranked)), (DeviceOptions(accelerator="cpu"), same_process)):
        own = tmp_path / str(each.strategy)
        monkeypatch.setenv("BENCH_CACHE", str(own / "cache"))
        report = Runner(Store(own / "runs"), each, Notebook(), isolate=isolate).run(specs)
        assert [record.reason for record in report.records] == [""] * 3, report.problems
        assert len(list((own / "runs").glob("*.json"))) == 3
        found[each.strategy] = {record.id: (record.episode_scores, record.predictions) for record in report.records}
        named = {record.costs.device.endswith(f"x 2 ({devices.strategy})") for record in report.records}
        assert named == {each is devices}
    assert found[devices.strategy] == found[None]


def test_methods_that_train_through_the_model_and_other_backbones_are_refused_by_name(model):
    require_splittable(block(model, "in_context", "linear_probe"), FSDP)
    with pytest.raises(UsageError, match="methods that run the model forward alone, and lora trains through it"):
        require_splittable(block(model, "in_context", "lora"), FSDP)
    images = {"task": "digits", "queries": 1}
    with pytest.raises(UsageError, match="splits language models, and efficientnet_lite0 is none"):
        require_splittable(block("efficientnet_lite0", "faast", **images), FSDP)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"strategy": "fsdb"}, "no strategy 'fsdb'; did you mean 'fsdp'"),
        ({"strategy": "fsdp", "devices": 1}, "--strategy fsdp takes --devices from 2 to 64, got 1"),
        ({"strategy": "device_map", "devices": 0}, "--strategy device_map takes --devices from 1 to 64, got 0"),
        ({"strategy": "fsdp", "precision": "bf16-true"}, "got --precision bf16-true; .*dtype=bfloat16"),
        ({"strategy": "device_map"}, "--strategy device_map distributes a model over GPUs, and cpu is none"),
    ],
)
def test_what_a_strategy_does_not_serve_is_refused(options, message):
    with pytest.raises(UsageError, match=message):
        DeviceOptions(**{"accelerator": "cpu", "devices": 2} | options).device_name()


def test_blocks_in_the_hosts_memory_read_as_blocks_in_place(model):
    backbone = registry.load_backbone(model)
    expected = read(backbone)
    place(backbone, [None, CPU], CPU)
    assert {parameter.is_meta for parameter in backbone.blocks[0].parameters()} == {True}
    require_same(read(backbone.to(CPU)), expected)
    assert {parameter.is_meta for parameter in backbone.blocks[0].parameters()} == {True}
    backbone.double()
    assert {parameter.dtype for parameter in backbone.blocks[1].parameters()} == {torch.float32}


@pytest.mark.parametrize(
    ("rooms", "places"),
    [([99, 99], [0, 0, 0, 1, 1, 1]), ([8, 99], [0, 0, 1, 1, 1, 1]), ([8, 8], [0, 0, 1, 1, None, None])],
)
def test_blocks_are_distributed_evenly_as_far_as_there_is_room(rooms, places):
    assert layout([4] * 6, rooms) == places
