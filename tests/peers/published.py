"""The published FAAST program, from a checkout named by ``FAAST_REPO``."""

import importlib
import os
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn

from bench.contracts import Classes
from bench.testing.problems import Problem
from methods._faast_features import FaastOnFeatures
from tests.peers.on_features import DIM, EPISODES, SHOTS, WAYS, episodes, scores
from tests.peers.row import Check, NotRunError, Place, Ready, Row

PRIOR_STRENGTH = 400.0
"""The program's N0 for CIFAR-10."""
SCALE = 100.0
"""CLIP's factor of logits."""
TOLERANCE = 1e-4
"""Largest relative difference of the logits."""
ENTRY = "vision.model.MemoryClassifier(config, model, classes)"


class Features(nn.Module):
    """Stands where the program has CLIP: images are features already, and texts are the classes' embeddings."""

    def __init__(self, embeddings: Tensor) -> None:
        super().__init__()
        self.embeddings = embeddings
        self.logit_scale = torch.tensor(SCALE).log()

    def encode_image(self, images: Tensor) -> Tensor:
        """The features."""
        return images

    def encode_text(self, texts: Any) -> Tensor:
        """The embeddings of all classes."""
        return self.embeddings


def classifier(repository: Path, embeddings: Tensor) -> Any:
    """The program's classifier with its closed-form memory, as its ``vision/eval.py`` makes it.

    Raises NotRunError if the checkout does not have it.
    """
    clip = ModuleType("clip")
    clip.tokenize = lambda texts: texts  # type: ignore[attr-defined]
    with patch.dict(sys.modules, {"clip": clip}), patch.object(sys, "path", [str(repository), *sys.path]):
        try:
            program = importlib.import_module("vision.model")
            made = program.MemoryClassifier(
                SimpleNamespace(reader_type="inverse"), Features(embeddings), [str(way) for way in range(WAYS)]
            )
            _ = made.reset_projection, made.learn, made.predictor
        except (ImportError, AttributeError, TypeError) as error:
            raise NotRunError(
                f"FAAST_REPO needs {ENTRY} with reset_projection, learn and forward, got {repository}: {error}"
            ) from error
    made.n0_fn = lambda count: PRIOR_STRENGTH
    return made.eval()


def make(place: Place) -> Ready:
    """The same episodes for both, with one set of class embeddings, as of one data set."""
    folder = os.environ.get("FAAST_REPO")
    if not folder:
        raise NotRunError("set FAAST_REPO to a checkout of the published program")
    count = place.size(EPISODES, 8)
    given = episodes(count)
    embeddings = given.query.classes.class_embeddings[0]
    classes = Classes(embeddings.expand(count, -1, -1), given.query.classes.names[:1] * count)
    # A joint space: an image's own answer is its feature.
    given = Problem(
        replace(given.support, classes=classes, prior=given.support.keys),
        replace(given.query, classes=classes, prior=given.query.keys),
        replace(given.shape, prior_strength=PRIOR_STRENGTH),
    )
    program = classifier(Path(folder), embeddings)

    @torch.no_grad()
    def peer() -> Tensor:
        found = []
        for keys, labels, queries in zip(given.support.keys, given.support.labels, given.query.keys, strict=True):
            program.reset_projection()
            program.learn(keys, labels)
            found.append(program(queries))
        return torch.stack(found)

    def compare(ours: Tensor, theirs: Tensor) -> list[Check]:
        error = float((ours - theirs).norm() / theirs.norm())
        return [Check("outputs", error <= TOLERANCE, f"logits differ by {error:.1e} (relative)")]

    return Ready(
        ours=lambda: scores(FaastOnFeatures, given, prior_strength=PRIOR_STRENGTH, alpha=0.8),
        peer=peer,
        compare=compare,
        note="the program's classifier reads features in the place of images and runs in this environment's torch; its "
        "sampler and loader are left out.",
    )


ROWS = (
    Row(
        name="published_faast",
        peer="the published FAAST program",
        work=f"FAAST with prior, {EPISODES} episodes, {WAYS}-way {SHOTS}-shot, d = {DIM:,}",
        goal=20,
        reason="The program's time is a float32 `pinv` of 50 x 1,024 keys and a map of 1,024 x 1,024 for each "
        "episode, on two cores a few milliseconds; ours is bound by memory: keys widened to float64 for an"
        " exact solve, and answers of 1,024 numbers a query, normalised for the cosine with the classes.",
        checks=("outputs",),
        make=make,
    ),
)
