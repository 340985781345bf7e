"""Adaptation and scores of a method without Lightning, in the order of calls of a run."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

import torch
from torch import Tensor

from bench.contracts import AnyMethod, Backbone, ForwardMethod, GradientMethod, Support
from bench.testing.doubles import backbone_for
from bench.testing.items import columns
from bench.testing.problems import Problem, episodes_of

SomeMethod = TypeVar("SomeMethod", bound=ForwardMethod | GradientMethod)


def adapt(method: AnyMethod, support: Support, items_at_once: int | None = None) -> None:
    """Adapt like ``Trainer.fit``: stream the support set once and solve, or take the optimizer's steps.

    Args:
        method: The method.
        support: The whole support set.
        items_at_once: Items per batch of a ForwardMethod; by default all of them.
    """
    if isinstance(method, ForwardMethod):
        if not method.uses_support:
            return
        step = items_at_once or support.mask.shape[1]
        with torch.no_grad():
            for start in range(0, support.mask.shape[1], step):
                method.observe(columns(support, slice(start, start + step)))
            method.solve()
        return
    optimizer, schedule = method.optimizer()
    with one_thread():
        for step in range(1, method.steps + 1):
            optimizer.zero_grad()
            method.loss(support).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            if schedule is not None:
                schedule.step()
            if method.validate_every and (step % method.validate_every == 0 or step == method.steps):
                with torch.no_grad():
                    method.validate()
        with torch.no_grad():
            method.finish()


@contextmanager
def one_thread() -> Iterator[None]:
    """Context with one thread: threads that wait for each other make many steps on small tensors five times slower."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def adapted(
    cls: type[SomeMethod],
    given: Problem,
    backbone: Backbone | None = None,
    items_at_once: int | None = None,
    **config: Any,
) -> SomeMethod:
    """A method adapted to the problem's support, all episodes in one instance.

    Args:
        cls: Class of the method.
        given: The problem.
        backbone: The backbone; by default a stand-in that serves the method.
        items_at_once: As for ``adapt``.
        **config: Fields of the config.

    Returns:
        The adapted method.
    """
    method = cls(cls.Config(**config), backbone or backbone_for(cls), given.shape)
    adapt(method, given.support, items_at_once)
    return method


def scores(
    cls: type[AnyMethod],
    given: Problem,
    items_at_once: int | None = None,
    backbone: Backbone | None = None,
    **config: Any,
) -> Tensor:
    """Scores of a method, with as many episodes in an instance as the method takes.

    Args:
        cls: Class of the method.
        given: The problem.
        items_at_once: As for ``adapt``.
        backbone: As for ``adapted``.
        **config: Fields of the config.

    Returns:
        ``[episode, item, way]``.
    """
    answers = []
    for start in range(0, given.shape.n_episodes, cls.episodes_at_once):
        group = episodes_of(given, slice(start, start + cls.episodes_at_once))
        method = adapted(cls, group, backbone, items_at_once, **config)
        with torch.no_grad():
            answers.append(method.predict(group.query))
    return torch.cat(cast(list[Tensor], answers))
