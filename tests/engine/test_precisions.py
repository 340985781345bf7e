"""Every method on a language model at each precision: near float32, alike at each instance, and scores not rounded."""

import copy
import re
from types import SimpleNamespace

import pytest
import torch

from bench.contracts import InputMode, Kind, Pool, TaskData
from bench.engine.precision_error import precision_error
from bench.engine.trainer import DeviceOptions
from bench.runs.precision_notes import precision_notes
from bench.spec.run_spec import RunSpec
from bench.testing.doubles import NetworkBackbone, tiny_language_model
from tests.helpers.precisions import FULL, PRECISIONS, change, model, scores
from tests.helpers.runs import Notebook

pytestmark = pytest.mark.slow
MOST = {"64-true": 2e-3, "bf16-mixed": 1.0, "bf16-true": 1.0, "16-true": 0.1}
"""Largest change of a score that is expected; scores are log-probabilities, and logits of methods on features."""
SHARES = {"64-true": 1e-5, "bf16-mixed": 0.1, "bf16-true": 0.1, "16-true": 0.02}
"""Largest change of a score as a share of the largest score, for LARGE."""
LARGE = {
    "ape_t": "100 times keys with a trained residual, in which Adam moves numbers of little gradient as far as others",
    "lda": "keys times an inverse covariance, which weighs most the directions in which keys differ least",
}
"""Methods with scores of 10^2, and why a change of the keys is a large change of their scores."""
VOTES = {"knn_prompting"}
"""Scores are numbers of votes plus fractions by rank, of which bfloat16 holds many exactly."""


ALL = "bf16-true"
"""The precision at which every method is run: weights are converted, and have the fewest digits."""
ON_FEATURES = {"zero_shot", "knn", "faast", "linear_probe", *LARGE}
"""Methods on features that are run at each precision; all get float32 keys, whatever the backbone computes in."""


def is_run(case):
    """Whether a case is run at a precision other than ALL.

    With those of ON_FEATURES, these are all methods that run the backbone, on texts with classes where they serve any.
    """
    if case.method.reads is not InputMode.INPUTS:
        return case.name in ON_FEATURES
    return case.given.shape.kind is Kind.TEXT_CLASSIFICATION or Kind.TEXT_CLASSIFICATION not in case.method.kinds


def is_run_twice(case):
    """Whether a case is run by two instances at ALL: methods on features share what they do with a backbone."""
    return case.method.reads is InputMode.INPUTS or case.name in ON_FEATURES


@pytest.fixture(scope="module")
def found():
    """Scores by precision and method, at ALL of two instances of most."""
    with model() as folder:
        some = {each: scores(folder, each, chosen=is_run) for each in PRECISIONS if each != ALL}
        return some | {FULL: scores(folder, FULL), ALL: scores(folder, ALL, twice=is_run_twice)}


@pytest.mark.parametrize("precision", PRECISIONS)
def test_scores_come_near_those_of_float32(found, precision):
    changes = {name: change(first, found[FULL][name][0]) for name, (first, *_) in found[precision].items()}
    assert len(changes) >= 20
    most = {name: SHARES[precision] * float(found[FULL][name][0].abs().max()) for name in LARGE}
    assert {name: each for name, each in changes.items() if not each <= most.get(name, MOST[precision])} == {}


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", LARGE)
def test_large_scores_choose_the_same_classes(found, precision, name):
    classes = [found[each][name][0].argmax(dim=-1) for each in (FULL, precision)]
    assert torch.equal(*classes)


def test_the_next_instance_of_a_method_answers_alike(found):
    """In float32: ``test_is_deterministic`` of the contract suite, and ``test_leaves_the_backbone_as_it_was``."""
    twice = {name: pair for name, pair in found[ALL].items() if len(pair) == 2}
    assert len(twice) >= 40
    assert [name for name, (first, second) in twice.items() if not torch.equal(first, second)] == []


@pytest.mark.parametrize("precision", PRECISIONS)
def test_scores_are_not_rounded_to_the_precision_of_weights(found, precision):
    rounded = [
        name
        for name, (first, *_) in found[precision].items()
        if first.dtype != torch.float32 or (name not in VOTES and torch.equal(first.bfloat16().float(), first))
    ]
    assert rounded == []


TEXTS = ["a dull tale", "well spun at sea", "few ships"]


@pytest.mark.parametrize(("names", "what"), [((" good", " bad"), "answers to"), ((), "token of")])
def test_the_error_of_a_precision_is_measured_on_a_few_prompts(names, what):
    pool, devices = Pool.of_texts(TEXTS), DeviceOptions(accelerator="cpu", precision="bf16-true")
    # Others share the model, which stays in the lower precision.
    said = precision_error(copy.deepcopy(tiny_language_model()), pool, names, devices)
    found = re.fullmatch(rf"log-probabilities .*{what} 3 prompts .* by (\S+) nats at most, (\S+) in the median", said)
    most, median = map(float, found.groups())
    assert 0 < median <= most < 0.5
    full = precision_error(copy.deepcopy(tiny_language_model()), pool, names, devices.with_precision(FULL))
    assert " by 0 nats at most" in full


def test_the_error_of_features_is_that_of_their_directions():
    pool, devices = Pool.of_texts(TEXTS), DeviceOptions(accelerator="cpu")
    said = precision_error(NetworkBackbone(), pool, (), devices.with_precision("bf16-true"))
    (error,) = re.fullmatch(r"features of 3 items differ .* by 1 - cosine = (\S+) at most", said).groups()
    assert 0 < float(error) < 1e-3


def test_runs_in_a_lower_precision_say_and_keep_its_error(monkeypatch):
    monkeypatch.setattr("bench.runs.precision_notes._found", {})
    data = TaskData(Pool.of_texts(TEXTS), Pool.of_texts(TEXTS), ("text",), "1")
    spec = RunSpec(
        task="lexicon", backbone="b", method="knn", shots=1, seed=0, episodes=1, queries=1, ways=None,
        precision="bf16-true",
    )  # fmt: skip
    devices, calls, notebook = DeviceOptions(accelerator="cpu", precision="bf16-true"), [], Notebook()
    worker = SimpleNamespace(process="fresh", call=lambda *arguments: calls.append(arguments) or "little")
    for _ in range(2):
        assert precision_notes(data, devices, worker, spec, notebook) == {"precision_error": "little"}
    assert notebook.problems == ["lexicon on b in bf16-true: little"]
    ((function, pool, names, _),) = calls
    assert (function, len(pool.inputs), names) == (precision_error, 3, ("text",))
    assert precision_notes(data, devices.with_precision(FULL), worker, spec, notebook) == {}
    worker.process = "same"
    assert precision_notes(data, devices, worker, spec, notebook) == {}
