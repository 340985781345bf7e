"""Linear maps trained inside a decoder: where they stand, what they start from, and what training does."""

from typing import Any

import pytest
import torch
from torch import Tensor

from bench.backbones.hf import CausalLM
from bench.contracts import Kind, UsageError
from bench.testing.doubles import CosineBackbone
from bench.testing.driver import adapt
from bench.testing.tiny_models import save_model
from methods.linear_projection import ProjectionOnHiddenStates, ProjectionOnHiddenStatesConfig
from tests.helpers.language import NAMES, PROMPTS, TEXTS, problem_shape, query, read, support


@pytest.fixture(scope="module", params=["llama", "gpt2"])
def backbone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> CausalLM:
    return CausalLM(save_model(tmp_path_factory.mktemp(request.param), request.param))


def untrained(backbone: CausalLM, kind: Kind = Kind.LANGUAGE_MODELLING, n_way: int = 1, **config: Any) -> Any:
    return ProjectionOnHiddenStates(
        ProjectionOnHiddenStatesConfig(**{"steps": 6, "lr": 1e-2, **config}), backbone, problem_shape(kind, n_way)
    )


def trained(backbone: CausalLM, **config: Any) -> Any:
    method = untrained(backbone, **config)
    adapt(method, support(TEXTS))
    return method


def perplexity(method: Any, texts: list[str] = TEXTS) -> float:
    with torch.no_grad():
        found = method.predict(query(texts))[0].sum(dim=0)
    return float((found[0] / found[1]).exp())


def test_training_starts_at_the_model_as_it_is(backbone: CausalLM) -> None:
    method = untrained(backbone)
    with torch.no_grad():
        found = method.predict(query(TEXTS))
    assert isinstance(found, Tensor)
    torch.testing.assert_close(found[0], backbone.loglikelihood_rolling(TEXTS, 32, None))


def test_maps_learn_the_text_and_leave_the_backbone(backbone: CausalLM) -> None:
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    alone = backbone.loglikelihood_rolling(TEXTS, 32, None)
    method = trained(backbone)
    assert perplexity(method) < 0.9 * perplexity(untrained(backbone))
    assert all(torch.equal(tensor, before[name]) for name, tensor in backbone.state_dict().items())
    assert torch.equal(backbone.loglikelihood_rolling(TEXTS, 32, None), alone)
    assert all(parameter.grad is None for parameter in backbone.parameters())


def test_the_last_map_stands_before_the_final_norm(backbone: CausalLM) -> None:
    method = trained(backbone, middle=0)
    (projection,) = method.projections
    seen = read(backbone, "very bad: a happy word", backbone.final_norm)
    with torch.no_grad():
        state = seen.inputs + seen.inputs @ projection.mT
        expected = backbone.model.get_output_embeddings()(backbone.final_norm(state))
        with method.hooks_active():
            found = backbone.model(input_ids=seen.ids[None]).logits[0]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(found, seen.logits, atol=1e-2)


def test_each_map_is_trained_and_counted(backbone: CausalLM) -> None:
    method = trained(backbone, middle=1)
    assert len(method.projections) == 2
    assert all(bool(projection.any()) for projection in method.projections)
    assert {name for name, _ in method.named_parameters()} == {"projections.0", "projections.1"}
    assert method.state_bytes() == 2 * 32 * 32 * 4
    assert method.trainable_params() == 2 * 32 * 32


@pytest.mark.slow
def test_answers_and_writing_go_through_the_maps(backbone: CausalLM) -> None:
    classifier = untrained(backbone, Kind.TEXT_CLASSIFICATION, n_way=2, steps=20)
    adapt(classifier, support(PROMPTS, labels=[0, 0], names=NAMES))
    with torch.no_grad():
        scores = classifier.predict(query(PROMPTS, NAMES))[0].log_softmax(dim=-1)
    before = backbone.loglikelihood("", PROMPTS, NAMES).log_softmax(dim=-1)
    assert (scores[:, 0] > before[:, 0]).all()
    translator = untrained(backbone, Kind.TEXT_GENERATION, steps=60)
    adapt(translator, support(PROMPTS, [" gut", " gut"]))
    with torch.no_grad():
        assert translator.predict(query(PROMPTS)) == ["gut", "gut"]


def test_a_backbone_without_language_is_refused() -> None:
    with pytest.raises(UsageError, match="CosineBackbone"):
        ProjectionOnHiddenStates(ProjectionOnHiddenStatesConfig(), CosineBackbone(), problem_shape())
