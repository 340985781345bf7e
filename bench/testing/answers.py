"""A method with a config and a backbone, as the contract suite runs it."""

from typing import Any

import torch
from torch import Tensor

from bench.contracts import AnyMethod, Backbone
from bench.testing.driver import adapted, scores
from bench.testing.problems import Problem, episodes_of

_FIRST: dict[tuple[Any, ...], tuple[Problem, Tensor]] = {}
"""Problems and their scores by method, config, backbone and problem, which is kept so that its id stays its own."""


class Answers:
    """A method with a config and a backbone; called with a problem, it returns scores ``[episode, item, way]``.

    Attributes:
        method: Class of the method.
        config: Fields of its config.
        backbone: The backbone.
    """

    def __init__(self, method: type[AnyMethod], config: dict[str, Any], backbone: Backbone) -> None:
        self.method, self.config, self.backbone = method, config, backbone

    def __call__(self, given: Problem, items_at_once: int | None = None) -> Tensor:
        return scores(self.method, given, items_at_once, self.backbone, **self.config)

    def first(self, given: Problem) -> Tensor:
        """Scores of a problem, computed once for all tests that compare others with them.

        Args:
            given: The problem.

        Returns:
            ``[episode, item, way]``, a copy.
        """
        key = (self.method, repr(self.config), type(self.backbone), self.backbone.fingerprint, id(given))
        if key not in _FIRST:
            _FIRST[key] = given, self(given)
        return _FIRST[key][1].clone()

    def group(self, given: Problem) -> Problem:
        """The first episodes of a problem, as many as one instance of the method takes.

        Args:
            given: The problem.

        Returns:
            A copy.
        """
        return episodes_of(given, slice(0, self.method.episodes_at_once))

    def of_group(self, given: Problem) -> Tensor:
        """Scores of ``group``, from those of the whole problem that all tests share.

        Args:
            given: The problem.

        Returns:
            ``[episode, item, way]``.
        """
        return self.first(given)[: self.method.episodes_at_once]

    def adapted(self, given: Problem) -> AnyMethod:
        """One instance, adapted to a problem.

        Args:
            given: The problem.

        Returns:
            The adapted method.
        """
        return adapted(self.method, given, self.backbone, **self.config)

    def predicted(self, given: Problem) -> Tensor | list[str]:
        """Answers of one instance to the queries of its problem.

        Args:
            given: The problem.

        Returns:
            Scores or texts.
        """
        method = self.adapted(given)
        with torch.no_grad():
            return method.predict(given.query)
