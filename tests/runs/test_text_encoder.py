"""A text encoder that is no language model: its prior is scored, and methods that need a language model are skipped."""

import pytest

from bench.contracts import Kind
from bench.engine.trainer import DeviceOptions
from bench.plugin import Plugin
from bench.registry import finding
from bench.results.store import Store
from bench.runs.runner import Runner, same_process
from bench.spec.expand import expand
from bench.spec.suite import Block
from bench.testing.doubles import CosineBackbone
from tests.helpers.runs import Notebook
from tests.helpers.stand_ins import small_tasks

NEEDS = {"in_context", "knn_lm", "lora", "faast@hidden_states"}
"""Methods that run a language model on texts."""


class TextEncoder(CosineBackbone):
    """Features of a text, without answers or log-likelihoods."""

    kinds = frozenset({Kind.TEXT_CLASSIFICATION})


@pytest.fixture
def records(tmp_path, monkeypatch, cache):
    """Records of runs on the encoder, by method at its site."""
    of_group = finding.find
    encoder = {"text_encoder": Plugin("text_encoder", __name__, "TextEncoder", "this test")}
    monkeypatch.setattr(finding, "find", lambda group: of_group(group) | (encoder if group == "backbones" else {}))
    small_tasks(monkeypatch)
    store = Store(tmp_path / "store")
    block = Block(task="lexicon", backbone="text_encoder", methods=["zero_shot", "faast", *sorted(NEEDS)], shots=[2])
    runner = Runner(store, DeviceOptions(accelerator="cpu"), Notebook(), isolate=same_process)
    runner.run(expand(block))
    return {record.spec.method + ("@hidden_states" if record.spec.config else ""): record for record in store}


@pytest.mark.slow
def test_zero_shot_scores_the_prior_and_methods_of_language_models_are_skipped(records):
    assert {name for name, record in records.items() if record.status == "ok"} == {"zero_shot", "faast"}
    assert records["zero_shot"].costs.encode.seconds > 0
    skipped = {name: record.reason for name, record in records.items() if record.status == "skipped"}
    assert skipped == {
        name: f"{name} needs a language model on lexicon (text_classification); text_encoder is none" for name in NEEDS
    }
