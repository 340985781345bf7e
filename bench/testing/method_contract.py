"""Contract suite of methods: the properties that adaptation and scoring depend on."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from bench.contracts import (
    CLASSIFICATION,
    AnyMethod,
    Backbone,
    EmbeddingUse,
    ForwardMethod,
    GradientMethod,
    InputMode,
    Kind,
    LanguageBackbone,
    MethodConfig,
    MultiSiteMethod,
)
from bench.testing.answers import Answers
from bench.testing.doubles import backbone_for, tiny_language_model
from bench.testing.items import columns, padded
from bench.testing.problems import (
    Problem,
    episodes_of,
    language_problem,
    problem,
    repeated,
    with_labels,
    without_embeddings,
)

# Fewer examples than key dimensions, and more, because closed forms are computed differently in each case.
SHAPES = {
    "few": problem(n_shot=3, n_query=3, key_dim=16, sizes=[12, 9, 12]),
    "many": problem(n_shot=6, n_query=3, key_dim=16, sizes=[24, 24, 21], seed=1),
}
RTOL, ATOL = 1e-4, 1e-3
"""Float32 rounding of scores of about 100."""


def assert_same(ours: Tensor, expected: Tensor) -> None:
    """Fail unless two tensors are equal up to rounding.

    Args:
        ours: The tensor under test.
        expected: The expected tensor.
    """
    torch.testing.assert_close(ours, expected, rtol=RTOL, atol=ATOL)


class MethodContract:
    """Tests that every method passes; subclass it and override the fixture ``method``.

    ``class TestMyMethod(MethodContract):`` with this fixture in it is a whole test module::

        @pytest.fixture
        def method(self):
            return MyMethod

    With ``@pytest.fixture(params=each_site(MyMethod))`` of ``bench.testing.sites`` and ``return request.param``,
    every test runs at each site of a MultiSiteMethod.

    Fixtures to override:
        method: The class of the method, at one site.
        config: Fields of its config, by default 4 steps or epochs at a learning rate of 0.1 where the config has
            them. A second subclass with another config tests another setting.
        backbone: The frozen backbone, by default a small stand-in for the inputs that the method reads.
        language_backbone: The language model in tasks without classes, by default ``backbone`` or, where that is none,
            a decoder with random weights.
    """

    @pytest.fixture
    def method(self) -> type[AnyMethod]:
        """The class of the method under test."""
        raise NotImplementedError(f"{type(self).__name__} needs a fixture `method` that returns the method's class")

    @pytest.fixture(autouse=True)
    def _is_at_one_site(self, method: type[AnyMethod]) -> None:
        if issubclass(method, MultiSiteMethod):
            pytest.fail(
                f"the fixture `method` needs the class at one site, got {method.__name__} with the sites "
                f"{', '.join(method.sites())}; use @pytest.fixture(params=each_site({method.__name__})) of "
                "bench.testing.sites and return request.param",
                pytrace=False,
            )

    @pytest.fixture
    def config(self, method: type[AnyMethod]) -> dict[str, Any]:
        """Fields of the config: few steps, large enough to change scores."""
        fields = method.Config.model_fields
        short = {"steps": 4, "epochs": 4, "lr": 0.1} if fields.keys() & {"steps", "epochs"} else {}
        return {name: value for name, value in short.items() if name in fields}

    @pytest.fixture
    def backbone(self, method: type[AnyMethod]) -> Backbone:
        """A small frozen backbone that serves the method."""
        return backbone_for(method)

    @pytest.fixture
    def language_backbone(self, backbone: Backbone) -> Backbone:
        """A small frozen language model."""
        return backbone if isinstance(backbone, LanguageBackbone) else tiny_language_model()

    @pytest.fixture(params=SHAPES)
    def given(self, request: pytest.FixtureRequest, method: type[AnyMethod]) -> Problem:
        """Classification problems of three episodes, with padding in one."""
        if not method.kinds & CLASSIFICATION:
            pytest.skip("serves no task of classification")
        if request.param == "many" and issubclass(method, GradientMethod) and method.reads is InputMode.INPUTS:
            pytest.skip("trains a model by steps, which more examples compute no differently")
        return SHAPES[request.param]

    @pytest.fixture
    def answers(self, method: type[AnyMethod], config: dict[str, Any], backbone: Backbone) -> Answers:
        """The method with its config and backbone, ready to be adapted to problems."""
        return Answers(method, config, backbone)

    @pytest.fixture
    def language_answers(self, method: type[AnyMethod], config: dict[str, Any], language_backbone: Backbone) -> Answers:
        """The same on a language model."""
        return Answers(method, config, language_backbone)

    def test_declares_itself(self, method: type[AnyMethod]) -> None:
        assert issubclass(method, ForwardMethod | GradientMethod)
        assert sys.modules[method.__module__].__doc__, "bench list shows the first line of the module's docstring"
        assert method.__doc__
        assert method.source
        assert method.kinds
        assert method.kinds <= frozenset(Kind)
        assert isinstance(method.reads, InputMode)
        assert method.episodes_at_once >= 1

    def test_config_describes_its_fields_and_rejects_others(self, method: type[AnyMethod]) -> None:
        assert issubclass(method.Config, MethodConfig)
        assert all(field.description for field in method.Config.model_fields.values())
        with pytest.raises(ValidationError):
            method.Config.model_validate({"no_such_field": 1})

    def test_rejects_the_config_of_another_method(self, method: type[AnyMethod], backbone: Backbone) -> None:
        class OtherConfig(MethodConfig):
            pass

        if method.Config is MethodConfig:
            pytest.skip("takes no hyper-parameters, so any config will do")
        with pytest.raises(TypeError, match=method.Config.__name__):
            method(OtherConfig(), backbone, SHAPES["few"].shape)

    def test_scores_have_the_shape_and_are_finite(self, answers: Answers, given: Problem) -> None:
        answer = answers.first(given)
        assert answer.shape == (*given.query.mask.shape, given.shape.n_way)
        assert answer.isfinite().all()

    def test_other_labels_make_other_scores(self, answers: Answers, given: Problem) -> None:
        """Scores differ by more than the tolerance of the other tests, which could not find a leak otherwise."""
        if not answers.method.uses_support:
            pytest.skip("sees no labels")
        labels = ((given.support.labels + 1) % given.shape.n_way).where(given.support.mask, 0)
        other = replace(given, support=replace(given.support, labels=labels))
        assert not torch.allclose(answers(other), answers.first(given), rtol=RTOL, atol=ATOL)

    def test_works_without_class_embeddings_where_it_says_so(
        self, method: type[AnyMethod], config: dict[str, Any], backbone: Backbone, given: Problem
    ) -> None:
        """What the support set says must do, and labels must count: answers of several tokens may have none."""
        if method.reads is InputMode.INPUTS:
            pytest.skip("reads inputs")
        use = method.embedding_use(method.Config(**config))
        if use is EmbeddingUse.REQUIRED:
            pytest.skip("needs them")
        answers = Answers(method, config, backbone)
        reduced = with_labels if use is EmbeddingUse.LABELS_INSTEAD else without_embeddings
        without = answers(reduced(given))
        assert without.isfinite().all()
        if use is EmbeddingUse.UNUSED:
            assert torch.equal(without, answers.first(given)), "override embedding_use to say that it is optional"
        labels = ((given.support.labels + 1) % given.shape.n_way).where(given.support.mask, 0)
        other = replace(given, support=replace(given.support, labels=labels))
        assert not torch.allclose(answers(reduced(other)), without, rtol=RTOL, atol=ATOL)

    def test_is_deterministic(self, answers: Answers, given: Problem) -> None:
        assert torch.equal(answers(answers.group(given)), answers.of_group(given))

    def test_episodes_are_independent(self, answers: Answers, given: Problem) -> None:
        together = answers.first(given)
        last = given.shape.n_episodes - 1
        # The first of episodes that come one after the other is alone in any case.
        for episode in [last] if answers.method.episodes_at_once == 1 else range(last + 1):
            part = slice(episode, episode + 1)
            assert_same(answers(episodes_of(given, part)), together[part])

    def test_says_whether_episodes_share_random_numbers(self, answers: Answers, given: Problem) -> None:
        """Copies of an episode that differ only by their random numbers are answered alike if these are shared."""
        if answers.method.episodes_at_once == 1:
            pytest.skip("an instance has one episode")
        first = episodes_of(given, slice(0, 1))
        other = replace(first, shape=replace(first.shape, seed=first.shape.seed + 1))
        by_seed = not torch.allclose(answers(other), answers(first), rtol=RTOL, atol=ATOL)
        copies = answers(repeated(given, 4))
        alike = torch.allclose(copies, copies[:1].expand_as(copies), rtol=RTOL, atol=ATOL)
        shared = answers.method.shares_draws(answers.method.Config(**answers.config))
        assert shared == (by_seed and alike), "override shares_draws to say so"

    def test_padding_changes_nothing(self, answers: Answers, given: Problem) -> None:
        one = answers.group(given)
        more = replace(one, support=padded(one.support, 3))
        assert_same(answers(more), answers.of_group(given))

    def test_order_of_examples_changes_nothing(self, answers: Answers, given: Problem) -> None:
        if answers.method.reads is InputMode.INPUTS:
            pytest.skip("a prompt has an order")
        order = torch.randperm(given.support.mask.shape[1], generator=torch.Generator().manual_seed(5))
        other = replace(given, support=columns(given.support, order))
        assert_same(answers(other), answers.first(given))

    def test_streaming_equals_one_batch(self, answers: Answers, given: Problem) -> None:
        if not issubclass(answers.method, ForwardMethod):
            pytest.skip("steps differ with the batches they are taken on")
        assert_same(answers(answers.group(given), items_at_once=5), answers.of_group(given))

    def test_queries_do_not_see_each_other(self, answers: Answers, given: Problem) -> None:
        if answers.method.transductive:
            pytest.skip("declares itself transductive, which its rows say")
        one = answers.group(given)
        part = replace(one, query=columns(one.query, slice(2, 5)))
        assert_same(answers(part), answers.of_group(given)[:, 2:5])

    def test_order_of_queries_changes_nothing(self, answers: Answers, given: Problem) -> None:
        one = answers.group(given)
        order = torch.randperm(one.query.mask.shape[1], generator=torch.Generator().manual_seed(7))
        other = replace(one, query=columns(one.query, order))
        assert_same(answers(other), answers.of_group(given)[:, order])

    def test_earlier_queries_change_nothing(self, answers: Answers, given: Problem) -> None:
        """The second batch of queries before the first: a method that remembers one answers the other otherwise."""
        one, parts = answers.group(given), (slice(0, 9), slice(9, None))

        def predicted(order: Sequence[slice]) -> list[Any]:
            method = answers.adapted(one)
            with torch.no_grad():
                return [method.predict(columns(one.query, part)) for part in order]

        later, earlier = predicted(parts[::-1])
        # The answers to a transductive method's queries depend on their batch.
        whole = answers.of_group(given)
        first, second = predicted(parts) if answers.method.transductive else [whole[:, part] for part in parts]
        assert_same(earlier, first)
        assert_same(later, second)

    def test_leaves_the_backbone_as_it_was(self, answers: Answers, given: Problem) -> None:
        before = {name: tensor.clone() for name, tensor in answers.backbone.state_dict().items()}
        answers(answers.group(given))
        after = answers.backbone.state_dict()
        assert after.keys() == before.keys()
        assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())

    def test_state_is_counted(self, answers: Answers, language_answers: Answers) -> None:
        if answers.method.kinds & CLASSIFICATION:
            method = answers.adapted(answers.group(SHAPES["few"]))
        else:
            method = language_answers.adapted(language_problem(min(answers.method.kinds)))
        assert (method.state_bytes() > 0) == answers.method.uses_support
        assert (method.trainable_params() > 0) == issubclass(answers.method, GradientMethod)

    def test_scores_of_texts_are_those_of_each_text_alone(self, language_answers: Answers) -> None:
        """Tasks of language modelling: ``[1, text, 2]``, negative log-likelihoods and numbers of scored tokens."""
        if Kind.LANGUAGE_MODELLING not in language_answers.method.kinds:
            pytest.skip("serves no task of language modelling")
        given = language_problem(Kind.LANGUAGE_MODELLING)
        found = language_answers.predicted(given)
        assert isinstance(found, Tensor)
        assert found.shape == (1, given.query.mask.shape[1], 2)
        assert found.isfinite().all()
        assert (found > 0).all()
        for order in (slice(1, 2), torch.tensor([2, 0, 1])):
            other = language_answers.predicted(replace(given, query=columns(given.query, order)))
            assert isinstance(other, Tensor)
            assert_same(other, found[:, order])

    def test_generates_a_text_for_each_prompt(self, language_answers: Answers) -> None:
        if Kind.TEXT_GENERATION not in language_answers.method.kinds:
            pytest.skip("serves no task of text generation")
        given = language_problem(Kind.TEXT_GENERATION)
        texts = language_answers.predicted(given)
        assert isinstance(texts, list)
        assert len(texts) == given.query.mask.shape[1]
        assert all(isinstance(text, str) and "\n" not in text for text in texts)
        assert language_answers.predicted(given) == texts
        reversed_ = replace(given, query=columns(given.query, torch.arange(len(texts)).flip(0)))
        assert language_answers.predicted(reversed_) == texts[::-1]
