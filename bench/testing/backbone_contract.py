"""Contract suite of backbones: the properties that encoding and scoring depend on."""

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from bench.contracts import Backbone, Classes, DataError, Features, Kind, NoClassEmbeddingsError

RTOL, ATOL = 1e-4, 1e-5
"""Float32 rounding of features, which batches of another size may change."""


def assert_close(ours: Tensor, expected: Tensor) -> None:
    """Fail unless two tensors are equal up to rounding.

    Args:
        ours: The tensor under test.
        expected: The expected tensor.
    """
    torch.testing.assert_close(ours, expected, rtol=RTOL, atol=ATOL)


class BackboneContract:
    """Tests that every backbone passes; subclass it and override the fixture ``backbone``.

    ``class TestMyBackbone(BackboneContract):`` with this fixture in it is a whole test module::

        @pytest.fixture(scope="module")
        def backbone(self):
            return MyBackbone()

    A language model subclasses ``bench.testing.language_backbone_contract.LanguageBackboneContract``.

    Fixtures to override:
        backbone: An instance; the suite freezes it as the harness does.
        inputs: Three different raw inputs or more, by default images, vectors or prompts.
        unreadable: A raw input that is an error.
        names: Class names, by default three objects, or two answers for a backbone that reads no images.
        prompts: Texts that a class name is inserted into.
    """

    @pytest.fixture
    def backbone(self) -> Backbone:
        """The backbone under test."""
        raise NotImplementedError(f"{type(self).__name__} needs a fixture `backbone` that returns an instance")

    @pytest.fixture(autouse=True)
    def _frozen(self, backbone: Backbone) -> None:
        backbone.eval().requires_grad_(False)

    @pytest.fixture
    def reads_images(self, backbone: Backbone) -> bool:
        """Whether raw inputs are images."""
        return Kind.IMAGE_CLASSIFICATION in backbone.kinds

    @pytest.fixture
    def inputs(self, reads_images: bool, backbone: Backbone) -> Sequence[Any]:
        """Raw inputs that differ: images of noise, vectors of noise, or prompts of different lengths."""
        rng = np.random.default_rng(0)
        if Kind.VECTOR_CLASSIFICATION in backbone.kinds:
            return list(rng.standard_normal((3, 8)).astype(np.float32))
        if not reads_images:
            return ["Word: happy\nSentiment:", "Word: x\nSentiment:", "Word: a much longer one\nSentiment:"]
        return [Image.fromarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)) for _ in range(3)]

    @pytest.fixture
    def unreadable(self) -> Any:
        """Neither an image nor a text."""
        return object()

    @pytest.fixture
    def names(self, reads_images: bool) -> tuple[str, ...]:
        """Class names, or answers as they follow a prompt."""
        return ("cat", "dog", "truck") if reads_images else (" negative", " positive")

    @pytest.fixture
    def prompts(self, reads_images: bool) -> tuple[str, ...]:
        """Texts that a class name is inserted into."""
        return ("A photo of a {label}.",) if reads_images else ("{label}",)

    @pytest.fixture
    def features(self, backbone: Backbone, inputs: Sequence[Any]) -> Features:
        """Features of all inputs as one batch."""
        return encoded(backbone, inputs)

    @pytest.fixture
    def classes(self, backbone: Backbone, names: tuple[str, ...], prompts: tuple[str, ...]) -> Classes:
        """The classes of one episode."""
        if not backbone.has_prior:
            return Classes(torch.eye(len(names))[None], (names,))
        return Classes(backbone.class_embeddings(names, prompts)[None].float(), (names,))

    def test_declares_itself(self, backbone: Backbone) -> None:
        assert sys.modules[type(backbone).__module__].__doc__, "bench list shows the first line of the docstring"
        assert type(backbone).__doc__
        assert backbone.kinds
        assert backbone.kinds <= frozenset(Kind)
        assert backbone.prior_strength >= 0

    def test_features_are_finite_rows_of_float32(self, features: Features, inputs: Sequence[Any]) -> None:
        for tensor in (features.keys, features.prior):
            assert tensor.ndim == 2
            assert len(tensor) == len(inputs)
            assert tensor.dtype == torch.float32
            assert tensor.isfinite().all()

    def test_says_whether_it_has_a_prior(self, backbone: Backbone, names: tuple[str, ...], features: Features) -> None:
        assert bool(features.prior.shape[1]) == backbone.has_prior
        if not backbone.has_prior:
            assert backbone.prior_strength == 0
            with pytest.raises(NoClassEmbeddingsError):
                backbone.class_embeddings(names, ["{label}"])

    def test_keys_have_unit_length_and_differ(self, features: Features) -> None:
        assert_close(features.keys.norm(dim=-1), torch.ones(len(features.keys)))
        assert all_differ(features.keys)

    def test_features_do_not_depend_on_the_batch(
        self, backbone: Backbone, inputs: Sequence[Any], features: Features
    ) -> None:
        alone = [encoded(backbone, [each]) for each in inputs]
        backwards = encoded(backbone, list(inputs)[::-1])
        for name in ("keys", "prior"):
            together = getattr(features, name)
            assert_close(torch.cat([getattr(each, name) for each in alone]), together)
            assert_close(getattr(backwards, name).flip(0), together)

    def test_encoding_is_deterministic(self, backbone: Backbone, inputs: Sequence[Any], features: Features) -> None:
        again = encoded(backbone, inputs)
        assert torch.equal(again.keys, features.keys)
        assert torch.equal(again.prior, features.prior)

    def test_encoding_leaves_weights_and_fingerprint_as_they_were(
        self, backbone: Backbone, inputs: Sequence[Any]
    ) -> None:
        weights = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
        fingerprint = backbone.fingerprint
        assert isinstance(fingerprint, str)
        assert fingerprint
        encoded(backbone, inputs)
        assert backbone.fingerprint == fingerprint
        assert all(torch.equal(tensor, weights[name]) for name, tensor in backbone.state_dict().items())

    def test_an_input_that_cannot_be_read_is_an_error_of_the_data(self, backbone: Backbone, unreadable: Any) -> None:
        with pytest.raises(DataError):
            backbone.prepare(unreadable)

    def test_classes_are_embedded_in_the_space_of_the_prior(
        self, backbone: Backbone, names: tuple[str, ...], prompts: tuple[str, ...], features: Features
    ) -> None:
        if not backbone.has_prior:
            pytest.skip("has no class embeddings")
        embeddings = backbone.class_embeddings(names, prompts)
        assert embeddings.shape == (len(names), features.prior.shape[1])
        assert embeddings.isfinite().all()
        assert not embeddings.requires_grad
        assert all_differ(embeddings)
        assert_close(backbone.class_embeddings(names[::-1], prompts).flip(0), embeddings)

    def test_answers_are_scored_each_by_itself(self, backbone: Backbone, classes: Classes, features: Features) -> None:
        """The zero-shot prior, as ``[episode, item, dim]`` and cut in two."""
        answers = features.prior if backbone.has_prior else mixtures(classes, len(features.keys))
        scores = backbone.class_logits(answers[None], classes)
        assert scores.shape == (1, len(answers), classes.n_way)
        assert scores.isfinite().all()
        assert not torch.equal(scores[0, 0], scores[0, 1]), "the prior scores different inputs alike"
        parts = [backbone.class_logits(part[None], classes) for part in (answers[:1], answers[1:])]
        assert_close(torch.cat(parts, dim=1), scores)

    def test_episodes_have_their_own_classes(self, backbone: Backbone, classes: Classes, features: Features) -> None:
        both = Classes(
            torch.cat([classes.class_embeddings, classes.class_embeddings.flip(1)]),
            (*classes.names, classes.names[0][::-1]),
        )
        answers = features.prior if backbone.has_prior else mixtures(classes, len(features.keys))
        scores = backbone.class_logits(answers.expand(2, -1, -1), both)
        assert_close(scores[1].flip(-1), scores[0])


def mixtures(classes: Classes, count: int) -> Tensor:
    """Answers of a memory on a backbone without a prior: mixtures of the classes' one-hot labels.

    Args:
        classes: The classes of one episode.
        count: Number of answers.

    Returns:
        ``[item, way]``.
    """
    shares = torch.rand(count, classes.n_way, generator=torch.Generator().manual_seed(0))
    return shares @ classes.class_embeddings[0]


def all_differ(rows: Tensor) -> bool:
    """Whether no two rows are equal.

    Args:
        rows: ``[row, dim]``.

    Returns:
        True if all differ.
    """
    return len(set(map(tuple, rows.tolist()))) == len(rows)


@torch.no_grad()
def encoded(backbone: Backbone, inputs: Sequence[Any]) -> Features:
    """Features of raw inputs as one batch, on the CPU.

    Args:
        backbone: The backbone.
        inputs: Raw inputs.

    Returns:
        Their features.
    """
    found = backbone.encode(backbone.collate([backbone.prepare(raw) for raw in inputs]))
    return Features(found.keys.cpu(), found.prior.cpu())
