"""Methods that change a language model, where many answers are scored as a tree of the tokens that they begin with."""

from pathlib import Path
from typing import Any

import pytest
import torch

from bench import registry
from bench.backbones import _scoring
from bench.backbones.hf import CausalLM
from bench.contracts import Kind
from bench.testing.driver import adapt
from bench.testing.tiny_models import save_model
from tests.helpers.language import PROMPTS, WORDS, problem_shape, query, support

NAMES = tuple(f" {one}{two}{three}" for one in ("very", "so") for two in ("", " good") for three in ("", " indeed"))
METHODS: dict[str, dict[str, Any]] = {
    "faast@hidden_states": {},
    "in_place_ttt": {"scope": "both", "chunk": 5},
    "in_place_ttt in chunks": {"scope": "query", "chunk": 5, "attention": "chunk"},
    "knn_lm": {},
    "lora": {"steps": 2, "lr": 0.1},
    "prefix_tuning": {"steps": 2},
    "prompt_tuning": {"steps": 2, "lr": 0.1},
}


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> CausalLM:
    folder: Path = tmp_path_factory.mktemp("model")
    return CausalLM(save_model(folder, "llama")).eval().requires_grad_(False)


@pytest.mark.parametrize("case", METHODS)
def test_answers_as_a_tree_score_as_in_sequences_of_their_own(
    backbone: CausalLM, case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cls: Any = registry.method_class(case.partition(" ")[0])
    method = cls(cls.Config(**METHODS[case]), backbone, problem_shape(Kind.TEXT_CLASSIFICATION, n_way=len(NAMES)))
    texts = [f"Word: {word}\nSentiment:" for word in (*WORDS, *WORDS[:2])]
    adapt(method, support(texts, labels=range(len(NAMES)), names=NAMES))
    monkeypatch.setattr(_scoring, "PASS_ON_CPU", 0)
    as_tree = method.predict(query(PROMPTS, NAMES))
    monkeypatch.setattr(_scoring, "FEW_ROWS", len(NAMES))
    torch.testing.assert_close(as_tree, method.predict(query(PROMPTS, NAMES)), rtol=1e-5, atol=1e-5)
