"""Methods that run a language model, on architectures with unusual attention, positions or logits."""

from typing import Any

import pytest

from bench import registry
from bench.backbones.hf import CausalLM
from bench.contracts import LANGUAGE, AnyMethod, InputMode, Kind, Support, UsageError
from bench.testing.answers import Answers
from bench.testing.driver import adapted
from bench.testing.method_contract import MethodContract
from bench.testing.problems import Problem, language_problem
from tests.helpers.architectures import SUPPORTED, WINDOW, save_architecture

NAMES = [
    name
    for plugin in registry.find("methods")
    for name in registry.names_by_site(plugin)
    if registry.method_class(name).reads is InputMode.INPUTS and registry.method_class(name).kinds & LANGUAGE
]
ARCHITECTURES = (
    "mistral, sliding window",
    "gemma2, capped",
    "gpt_oss, sinks",
    "bloom, alibi",
    "mpt, alibi",
    "falcon",
    "opt",
    "cohere, scaled logits",
)

REFUSED = {
    ("gpt_oss, sinks", "ia3"): "ia3 knows where to stand in models of",
    ("mpt, alibi", "ia3"): "ia3 knows where to stand in models of",
    ("cohere, scaled logits", "ia3"): "ia3 knows where to stand in models of",
    ("opt", "knn_lm"): "knn_lm needs the feed-forward part of a block",
    ("opt", "icv"): "icv needs the feed-forward part of a block",
    **{
        (model, "in_place_ttt"): "in-place test-time training needs blocks with"
        for model in ("gpt_oss, sinks", "bloom, alibi", "mpt, alibi", "falcon", "opt")
    },
}
"""What peft or a method does not know, with the message."""


WAYS = {"faast@hidden_states", "ia3", "icv", "in_context", "in_place_ttt", "knn_lm", "lora", "prefix_tuning",
        "prompt_tuning"}  # fmt: skip
"""Methods that are run on each architecture, one of each way to read, hook into or change a decoder; the others, which
share these ways, on the first."""


class AdaptedOnce(Answers):
    """One instance for each support set, whatever the queries; the contract suite itself adapts a new one each time."""

    latest: tuple[Support, AnyMethod] | None = None

    def adapted(self, given: Problem) -> AnyMethod:
        if self.latest is None or self.latest[0] is not given.support:
            self.latest = given.support, super().adapted(given)
        return self.latest[1]


@pytest.fixture(scope="module")
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> CausalLM:
    return CausalLM(save_architecture(SUPPORTED[request.param](), tmp_path_factory.mktemp("model")))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "name"),
    [(model, name) for model in ARCHITECTURES for name in NAMES if name in WAYS or model == ARCHITECTURES[0]],
    indirect=["model"],
)
def test_a_text_is_answered_as_if_it_were_alone(model: CausalLM, name: str, request: pytest.FixtureRequest) -> None:
    """The contract's own tests, on texts of unequal length."""
    method: Any = registry.method_class(name)
    fields = {"steps": 2, "lr": 0.1, "virtual_tokens": WINDOW // 2}
    config = {field: value for field, value in fields.items() if field in method.Config.model_fields}
    contract = MethodContract()
    answers = AdaptedOnce(method, config, model)
    if said := REFUSED.get((request.node.callspec.params["model"], name)):
        with pytest.raises(UsageError, match=said):
            answers.adapted(language_problem(Kind.LANGUAGE_MODELLING))
        return
    if Kind.LANGUAGE_MODELLING in method.kinds:
        contract.test_scores_of_texts_are_those_of_each_text_alone(answers)
    if Kind.TEXT_GENERATION in method.kinds:
        contract.test_generates_a_text_for_each_prompt(answers)


def test_virtual_tokens_that_a_sliding_window_forgets_are_refused(tmp_path: Any) -> None:
    model = CausalLM(save_architecture(SUPPORTED["mistral, sliding window"](), tmp_path))
    method: type[AnyMethod] = registry.method_class("prefix_tuning")  # type: ignore[assignment]
    given = language_problem(Kind.LANGUAGE_MODELLING)
    with pytest.raises(
        UsageError, match=r"20 virtual tokens must fit the sliding window .*, which keeps 7; use at most 7"
    ):
        adapted(method, given, model, steps=1)
