"""From what a user asked for to a list of runs whose names and fields are known to be right."""

from itertools import product
from typing import Any

from bench.contracts import Kind, UsageError
from bench.registry import (
    backbone_argument,
    backbone_class,
    make_task,
    method_class,
    method_config,
    task_class,
    task_name,
)
from bench.spec.budget import Budget, Match, budget_grid, parse_match
from bench.spec.names import check_names
from bench.spec.presets import preset, require_some
from bench.spec.suite import Block, RunSpec, Shots

DEFAULT_BACKBONE = {
    Kind.IMAGE_CLASSIFICATION: "efficientnet_lite0",
    Kind.TEXT_CLASSIFICATION: "smollm2_135m",
    Kind.LANGUAGE_MODELLING: "smollm2_135m",
    Kind.TRANSLATION: "smollm2_135m",
}
"""Embedded backbones: they install from the package index and need no model hub."""


def refusal(spec: RunSpec) -> str | None:
    """Why a method or backbone cannot serve a task, or None if it can."""
    kind = task_class(spec.task).kind
    served = method_class(spec.method).kinds
    if kind not in served:
        return f"{spec.method} serves {', '.join(sorted(served))}; {spec.task} is {kind}"
    return None


def expand(block: Block) -> list[RunSpec]:
    """The runs of a block, each once. Raises UsageError for a wrong name, field or combination."""
    check_names(block)
    task, name = make_task(block.task, block.prompt), task_name(block.task)
    backbone = block.backbone or DEFAULT_BACKBONE[task.kind]
    backbone_argument(backbone)
    readable = backbone_class(backbone).kinds
    if task.kind not in readable:
        raise UsageError(
            f"backbone {backbone} reads {', '.join(sorted(readable))}; {block.task} is {task.kind}: "
            f"leave --backbone out to use {DEFAULT_BACKBONE[task.kind]}"
        )
    if block.preset is not None:
        require_some(block.preset, block.task, backbone, block.methods)
    match = _match(block)
    budgets = budget_grid(block.budget, block.budget_grid, match, f"the budget on {block.task}")
    methods = block.methods if match is None or match.method in block.methods else [match.method, *block.methods]
    runs: dict[str, RunSpec] = {}
    for shots in block.shots:
        for method in methods:
            config = _config(block, backbone, method, shots)
            method_config(method, config)
            reference = match is not None and method == match.method
            uses_support = method_class(method).uses_support
            for seed, budget in product(block.seeds, [Budget()] if reference else budgets):
                full = shots == "full"
                default_queries: int | None = None if full else task.protocol.queries
                spec = RunSpec(
                    task=name,
                    prompt=block.prompt,
                    backbone=backbone,
                    method=method,
                    config=config,
                    # A method without a support set answers the same at every number of shots: one run.
                    shots=shots if uses_support else 0,
                    seed=seed,
                    episodes=1 if full else block.episodes or task.protocol.episodes,
                    queries=_queries(block, default_queries),
                    ways=block.ways or task.protocol.ways,
                    precision=block.precision,
                    budget=budget,
                    # What is not adapted costs nothing that could be matched.
                    match=_at(match, block, backbone, shots) if uses_support and not reference else None,
                    tuning=block.tuning.get(method),
                )
                runs[spec.model_dump_json()] = spec
    return list(runs.values())


def _config(block: Block, backbone: str, method: str, shots: Shots) -> dict[str, Any]:
    """What a block says of a method's fields, and where it says nothing, its preset."""
    rule = None if block.preset is None else preset(block.preset).rule(block.task, backbone, method)
    return (rule.fields(shots) if rule else {}) | block.set.get(method, {})


def _at(match: Match | None, block: Block, backbone: str, shots: Shots) -> Match | None:
    """A match at a number of shots, with the config and the tuning that the block has for the method it names."""
    if match is None:
        return None
    changes = {"config": _config(block, backbone, match.method, shots), "tuning": block.tuning.get(match.method)}
    return match.model_copy(update=changes)


def _match(block: Block) -> Match | None:
    """The match of a block."""
    if block.match is None:
        return None
    match = parse_match(block.match)
    if not method_class(match.method).uses_support:
        raise UsageError(f"--match {match.method}: it uses no support set, so that it costs nothing to adapt")
    return match


def _queries(block: Block, default: int | None) -> int | None:
    if block.queries == "all":
        return None
    return default if block.queries is None else block.queries
